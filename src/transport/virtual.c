#include "transport/virtual.h"

#include <string.h>

#include "base/alloc.h"

/* One end of a pair. Each end is its worker's link; frames wait at the end that is to receive them. */
typedef struct tt_virtual_end {
  struct tt_virtual_end *next;  /* all open ends of the process */
  struct tt_virtual_end *other; /* NULL once the other end is closed */
  tt_worker *worker;
  tt_link *link;          /* NULL once closed at this side */
  tt_buffer waiting;      /* u32 length, frame, ... */
  const char *closed_why; /* the other end has gone; told when the frames before it are delivered */
} tt_virtual_end;

static tt_virtual_end *ends;
static void (*wake)(void); /* NULL: the host polls without being asked */

void tt_virtual_set_wake(void (*wake_host)(void)) { wake = wake_host; }

static void send_frame(void *transport, const uint8_t *frame, size_t n_bytes) {
  tt_virtual_end *end = transport;
  if (end->other == NULL || end->other->closed_why != NULL) return;
  tt_buffer *waiting = &end->other->waiting;
  if (waiting->n_bytes == 0 && wake != NULL) wake();
  if (waiting->failed || !tt_buffer_reserve(waiting, n_bytes + sizeof(uint32_t))) {
    end->other->closed_why = "no memory for what waits between two virtual workers";
    return;
  }
  tt_buffer_u32(waiting, (uint32_t)n_bytes);
  tt_buffer_append(waiting, frame, n_bytes);
}

static void unlink_end(tt_virtual_end *end) {
  for (tt_virtual_end **at = &ends; *at != NULL; at = &(*at)->next) {
    if (*at != end) continue;
    *at = end->next;
    break;
  }
  if (end->other != NULL) end->other->other = NULL;
  tt_buffer_release(&end->waiting);
  tt_free(end);
}

static void close_end(void *transport, const char *reason) {
  (void)reason;
  tt_virtual_end *end = transport;
  end->link = NULL;
  if (end->other != NULL && end->other->closed_why == NULL) end->other->closed_why = "the other virtual worker has closed";
  if (wake != NULL) wake();
}

static const tt_link_ops virtual_ops = {.name = "virtual", .send = send_frame, .close = close_end};

static tt_virtual_end *new_end(tt_worker *worker) {
  tt_virtual_end *end = tt_alloc(1, sizeof *end);
  if (end == NULL) return NULL;
  end->worker = worker;
  tt_buffer_init(&end->waiting);
  return end;
}

static tt_status connect_ends(tt_worker *a, tt_worker *b, unsigned flags_of_b, tt_error *error) {
  const char *id_a = tt_worker_id(a), *id_b = tt_worker_id(b);
  if (strcmp(id_a, id_b) == 0 || tt_worker_get_worker(a, id_b, NULL) != NULL || tt_worker_get_worker(b, id_a, NULL) != NULL) {
    return tt_fail(error, TT_ERR_DUPLICATE, "%s and %s cannot be connected: the id is taken", id_a, id_b);
  }
  tt_virtual_end *end_a = new_end(a), *end_b = new_end(b);
  if (end_a == NULL || end_b == NULL) {
    tt_free(end_a);
    tt_free(end_b);
    return tt_fail(error, TT_ERR_MEMORY, "no memory to connect %s and %s", id_a, id_b);
  }
  end_a->other = end_b;
  end_b->other = end_a;
  end_a->next = end_b;
  end_b->next = ends;
  ends = end_a;
  end_b->link = tt_worker_attach(b, &virtual_ops, end_b, flags_of_b, error);
  if (end_b->link != NULL) end_a->link = tt_worker_attach(a, &virtual_ops, end_a, TT_LINK_INITIATES, error);
  if (end_a->link != NULL) return TT_OK;
  if (end_b->link != NULL) tt_link_closed(end_b->link, "could not connect");
  unlink_end(end_a);
  unlink_end(end_b);
  return TT_ERR_MEMORY;
}

tt_status tt_virtual_connect(tt_worker *a, tt_worker *b, tt_error *error) { return connect_ends(a, b, 0, error); }

tt_status tt_virtual_connect_page(tt_worker *page, tt_worker *worker, tt_error *error) {
  return connect_ends(page, worker, TT_LINK_CONTROLLER, error);
}

/* Hands over what waits at one end, which may close it. */
static bool deliver(tt_virtual_end *end) {
  tt_buffer frames = end->waiting;
  tt_buffer_init(&end->waiting);
  size_t position = 0;
  while (end->link != NULL && position < frames.n_bytes) {
    uint32_t n_bytes = tt_load_u32(frames.bytes + position);
    position += sizeof n_bytes;
    /* Frames are aligned in the sender's buffer; here they follow a length, which the decoders allow for. */
    tt_link_receive(end->link, frames.bytes + position, n_bytes);
    position += n_bytes;
  }
  tt_buffer_release(&frames);
  if (end->link != NULL && end->waiting.n_bytes == 0 && end->closed_why != NULL) {
    tt_link *link = end->link;
    end->link = NULL;
    if (end->other != NULL && end->other->closed_why == NULL) end->other->closed_why = end->closed_why;
    tt_link_closed(link, end->closed_why);
  }
  return position > 0;
}

bool tt_virtual_poll(void) {
  bool delivered = false;
  for (bool again = true; again;) {
    again = false;
    for (tt_virtual_end *end = ends; end != NULL; end = end->next) {
      if (end->link != NULL) tt_worker_flush(end->worker);
    }
    for (tt_virtual_end *end = ends; end != NULL; end = end->next) again |= deliver(end);
    delivered |= again;
  }
  for (tt_virtual_end *end = ends, *next; end != NULL; end = next) {
    next = end->next;
    if (end->link == NULL && end->waiting.n_bytes == 0) unlink_end(end);
  }
  return delivered;
}

bool tt_virtual_is_pending(void) {
  for (const tt_virtual_end *end = ends; end != NULL; end = end->next) {
    if (end->link != NULL && (end->waiting.n_bytes > 0 || end->closed_why != NULL)) return true;
  }
  return false;
}
