/* Links over message ports, as between a page and its worker; and links that expect a certain worker. */
#include "transport/message_port.h"

#include "base/buffer.h"
#include "chain/pointer.h"
#include "worker_fixture.h"

/* One end of a channel: messages wait at the end that is to take them. */
typedef struct channel_end {
  struct channel_end *other;
  tt_message_port *port;
  tt_buffer waiting; /* u32 length, message, ... */
  char closed[128];
} channel_end;

static void post(void *context, const uint8_t *frame, size_t n_bytes) {
  channel_end *to = ((channel_end *)context)->other;
  tt_buffer_u32(&to->waiting, (uint32_t)n_bytes);
  tt_buffer_append(&to->waiting, frame, n_bytes);
}

static void closed(void *context, const char *reason) {
  channel_end *end = context;
  snprintf(end->closed, sizeof end->closed, "%s", reason);
  end->port = NULL;
}

static bool take(channel_end *end) {
  tt_buffer messages = end->waiting;
  tt_buffer_init(&end->waiting);
  size_t position = 0;
  while (end->port != NULL && position < messages.n_bytes) {
    uint32_t n_bytes = tt_load_u32(messages.bytes + position);
    tt_message_port_receive(end->port, messages.bytes + position + 4, n_bytes);
    position += 4 + n_bytes;
  }
  tt_buffer_release(&messages);
  return position > 0;
}

typedef struct pair {
  tt_worker *page, *me;
  channel_end at_page, at_me;
  event_log page_log, me_log;
} pair;

static void open_end(channel_end *end, tt_worker *worker, unsigned flags, const char *expected) {
  const tt_message_port_host host = {.context = end, .post = post, .closed = closed};
  tt_error error;
  end->port = tt_message_port_open(worker, flags, expected, &host, &error);
  if (end->port == NULL) fail_msg("%s", error.message);
}

static void begin(pair *both, const char *expected) {
  *both = (pair){.page = NULL};
  both->page = new_worker_with((tt_worker_options){.id = "page", .kind = "page", .is_storeless = true}, &both->page_log);
  both->me = new_worker("me", &both->me_log);
  both->at_page.other = &both->at_me;
  both->at_me.other = &both->at_page;
  open_end(&both->at_page, both->page, TT_LINK_INITIATES, expected);
  open_end(&both->at_me, both->me, TT_LINK_CONTROLLER, "page");
}

static void settle(pair *both) {
  bool moved;
  do {
    tt_worker_flush(both->page);
    tt_worker_flush(both->me);
    moved = take(&both->at_page);
    moved |= take(&both->at_me);
  } while (moved);
}

static void end(pair *both) {
  tt_worker_free(both->page);
  tt_worker_free(both->me);
  tt_buffer_release(&both->at_page.waiting);
  tt_buffer_release(&both->at_me.waiting);
}

static void a_page_sends_before_its_worker_has_answered(void **state) {
  (void)state;
  pair both;
  begin(&both, "me");
  assert_true(tt_peer_is_present(known(both.page, "me")));
  assert_int_equal(n_logged(&both.page_log, TT_EVENT_PEER_JOINED), 0);
  tt_node *x = floats((const float[]){1, 2, 3}, 3);
  send_to(both.page, x, "me");
  tt_node *y = add(both.page, x, x);
  reply got = {0};
  assert_int_equal(tt_worker_fetch(both.page, y, take_reply, &got, NULL, NULL), TT_OK);
  settle(&both);
  assert_int_equal(n_logged(&both.page_log, TT_EVENT_PEER_JOINED), 1);
  assert_int_equal(n_logged(&both.page_log, TT_EVENT_LINK_OPEN), 1);
  assert_int_equal(got.n_calls, 1);
  assert_non_null(got.tensor);
  assert_true(((const float *)tt_tensor_data(got.tensor))[2] == 6.0f);
  tt_tensor_unref(got.tensor);
  tt_node_unref(x);
  tt_node_unref(y);
  settle(&both);
  assert_int_equal(tt_worker_n_objects(both.me), 0);
  end(&both);
}

static void another_worker_than_the_one_expected_is_refused(void **state) {
  (void)state;
  pair both;
  begin(&both, "somebody else");
  tt_node *x = floats((const float[]){1}, 1);
  reply got = {0};
  assert_int_equal(tt_worker_send(both.page, x, known(both.page, "somebody else"), 0, NULL, take_reply, &got, NULL, NULL),
                   TT_OK);
  settle(&both);
  assert_null(both.at_page.port);
  assert_null(both.at_me.port);
  assert_int_equal(got.n_calls, 1);
  assert_int_equal(got.status, TT_ERR_CONNECTION);
  assert_non_null(tt_local_tensor(tt_node_tail(x)));
  assert_int_equal(n_logged(&both.page_log, TT_EVENT_LINK_CLOSED), 1);
  assert_int_equal(n_logged(&both.page_log, TT_EVENT_PEER_JOINED), 0);
  assert_int_equal(n_logged(&both.page_log, TT_EVENT_PEER_LEFT), 0);
  for (size_t i = 0; i < both.page_log.n; i++) {
    if (both.page_log.events[i].type != TT_EVENT_LINK_CLOSED) continue;
    assert_says(both.page_log.events[i].message, "the worker there is me, where somebody else was expected");
  }
  tt_error error;
  assert_null(tt_worker_get_worker(both.page, "somebody else", &error));
  assert_int_equal(error.status, TT_ERR_UNKNOWN_WORKER);
  tt_node_unref(x);
  end(&both);
}

static void nobody_is_expected_twice(void **state) {
  (void)state;
  pair both;
  begin(&both, "me");
  channel_end third = {.other = &both.at_me};
  const tt_message_port_host host = {.context = &third, .post = post, .closed = closed};
  tt_error error;
  assert_null(tt_message_port_open(both.page, TT_LINK_INITIATES, "me", &host, &error));
  assert_int_equal(error.status, TT_ERR_DUPLICATE);
  assert_null(tt_message_port_open(both.page, TT_LINK_INITIATES, "page", &host, &error));
  assert_int_equal(error.status, TT_ERR_DUPLICATE);
  assert_null(tt_message_port_open(both.page, TT_LINK_INITIATES, "", &host, &error));
  assert_int_equal(error.status, TT_ERR_ARGUMENT);
  /* The refused ports have said HELLO; whoever hosts them throws that away. */
  tt_buffer_release(&both.at_me.waiting);
  tt_buffer_init(&both.at_me.waiting);
  end(&both);
}

static void a_lost_port_fails_what_is_open(void **state) {
  (void)state;
  pair both;
  begin(&both, "me");
  settle(&both);
  tt_node *x = floats((const float[]){1, 2}, 2);
  send_to(both.page, x, "me");
  settle(&both);
  reply got = {0};
  assert_int_equal(tt_worker_get(both.page, x, take_reply, &got, NULL, NULL), TT_OK);
  tt_message_port *port = both.at_page.port;
  both.at_page.port = NULL;
  tt_message_port_lost(port, "the thread has ended");
  assert_int_equal(got.n_calls, 1);
  assert_int_equal(got.status, TT_ERR_CONNECTION);
  assert_says(got.error.error.message, "the thread has ended");
  tt_node_unref(x);
  end(&both);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_page_sends_before_its_worker_has_answered),
      cmocka_unit_test(another_worker_than_the_one_expected_is_refused),
      cmocka_unit_test(nobody_is_expected_twice),
      cmocka_unit_test(a_lost_port_fails_what_is_open),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
