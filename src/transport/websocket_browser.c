#include "transport/websocket_browser.h"

#include <emscripten/websocket.h>
#include <string.h>

#include "base/alloc.h"
#include "base/buffer.h"

enum {
  MAX_WAITING_BYTES = 1 << 20, /* before the connection is open: a HELLO or two */
  MAX_REASON_BYTES = 123,      /* of a WebSocket's close frame; the host throws at more */
  CODE_NORMAL = 1000,
  CODE_NOT_BINARY = 1003,
};

struct tt_websocket_browser {
  tt_link *link; /* NULL when the worker or we have ended it and the host's last event is still to come */
  EMSCRIPTEN_WEBSOCKET_T socket;
  bool is_open;
  tt_buffer waiting; /* frames, each behind its u32 length */
  char *url;
};

/* A close reason may not be cut inside a character. */
static void end_socket(tt_websocket_browser *socket, unsigned short code, const char *reason) {
  char text[MAX_REASON_BYTES + 1];
  size_t n_bytes = strlen(reason);
  if (n_bytes > MAX_REASON_BYTES) {
    n_bytes = MAX_REASON_BYTES;
    while (n_bytes > 0 && ((unsigned char)reason[n_bytes] & 0xC0) == 0x80) n_bytes--;
  }
  memcpy(text, reason, n_bytes);
  text[n_bytes] = '\0';
  emscripten_websocket_close(socket->socket, code, text);
}

static void socket_send(void *transport, const uint8_t *frame, size_t n_bytes) {
  tt_websocket_browser *socket = transport;
  if (socket->is_open) {
    /* The glue wants a pointer to what is not const, and only reads it. */
    emscripten_websocket_send_binary(socket->socket, (void *)(uintptr_t)frame, (uint32_t)n_bytes);
    return;
  }
  if (socket->waiting.n_bytes + n_bytes > MAX_WAITING_BYTES)
    return; /* the worker has no credit yet: it does not come to this */
  tt_buffer_u32(&socket->waiting, (uint32_t)n_bytes);
  tt_buffer_append(&socket->waiting, frame, n_bytes);
}

static void socket_close(void *transport, const char *reason) {
  tt_websocket_browser *socket = transport;
  socket->link = NULL;
  end_socket(socket, CODE_NORMAL, reason);
}

static const tt_link_ops socket_ops = {.name = "websocket", .send = socket_send, .close = socket_close};

static void free_socket(tt_websocket_browser *socket) {
  emscripten_websocket_delete(socket->socket);
  tt_buffer_release(&socket->waiting);
  tt_free(socket->url);
  tt_free(socket);
}

static void end_link(tt_websocket_browser *socket, const char *reason) {
  tt_link *link = socket->link;
  socket->link = NULL;
  if (link != NULL) tt_link_closed(link, reason);
}

static EM_BOOL on_open(int type, const EmscriptenWebSocketOpenEvent *event, void *context) {
  (void)type, (void)event;
  tt_websocket_browser *socket = context;
  socket->is_open = true;
  if (socket->waiting.failed) {
    end_socket(socket, CODE_NORMAL, "no memory");
    end_link(socket, "no memory for the frames that waited for the connection");
    return EM_TRUE;
  }
  tt_reader reader = tt_reader_of(socket->waiting.bytes, socket->waiting.n_bytes);
  while (tt_reader_left(&reader) > 0) {
    uint32_t n_bytes = tt_read_u32(&reader);
    const uint8_t *frame = tt_read_bytes(&reader, n_bytes);
    if (frame != NULL) emscripten_websocket_send_binary(socket->socket, (void *)(uintptr_t)frame, n_bytes);
  }
  tt_buffer_release(&socket->waiting);
  return EM_TRUE;
}

static EM_BOOL on_message(int type, const EmscriptenWebSocketMessageEvent *event, void *context) {
  (void)type;
  tt_websocket_browser *socket = context;
  if (socket->link == NULL) return EM_TRUE;
  if (event->isText) {
    end_socket(socket, CODE_NOT_BINARY, "frames are binary");
    end_link(socket, "the other end sent text where the protocol has binary frames; is it a tabtensor relay or worker?");
    return EM_TRUE;
  }
  tt_link_receive(socket->link, event->data, event->numBytes);
  return EM_TRUE;
}

/* A failure is always followed by the close event, which says the rest. */
static EM_BOOL on_error(int type, const EmscriptenWebSocketErrorEvent *event, void *context) {
  (void)type, (void)event, (void)context;
  return EM_TRUE;
}

static EM_BOOL on_close(int type, const EmscriptenWebSocketCloseEvent *event, void *context) {
  (void)type;
  tt_websocket_browser *socket = context;
  tt_buffer reason;
  tt_buffer_init(&reason);
  if (!socket->is_open) {
    tt_buffer_printf(&reason, "could not connect to %s: nothing answers there, or it refused this page or program",
                     socket->url);
  } else if (event->reason[0] != '\0') {
    tt_buffer_printf(&reason, "%s closed the connection: %s", socket->url, event->reason);
  } else {
    tt_buffer_printf(&reason, "the connection to %s has ended (code %d)", socket->url, (int)event->code);
  }
  end_link(socket, tt_buffer_string(&reason));
  tt_buffer_release(&reason);
  free_socket(socket);
  return EM_TRUE;
}

tt_websocket_browser *tt_websocket_browser_open(tt_worker *worker, const char *url, const char *expected, tt_error *error) {
  tt_websocket_browser *socket = tt_alloc(1, sizeof *socket);
  char *own_url = tt_strdup(url);
  if (socket == NULL || own_url == NULL) {
    tt_fail(error, TT_ERR_MEMORY, "no memory for a connection to %s", url);
    goto memory;
  }
  *socket = (tt_websocket_browser){.url = own_url};
  tt_buffer_init(&socket->waiting);
  EmscriptenWebSocketCreateAttributes attributes;
  emscripten_websocket_init_create_attributes(&attributes);
  attributes.url = url;
  socket->socket = emscripten_websocket_new(&attributes);
  if (socket->socket <= 0) {
    tt_fail(error, TT_ERR_CONNECTION,
            "cannot connect to %s: there is no WebSocket here; npm install ws, or use Node 22 or later", url);
    goto memory;
  }
  emscripten_websocket_set_onopen_callback(socket->socket, socket, on_open);
  emscripten_websocket_set_onmessage_callback(socket->socket, socket, on_message);
  emscripten_websocket_set_onerror_callback(socket->socket, socket, on_error);
  emscripten_websocket_set_onclose_callback(socket->socket, socket, on_close);
  socket->link = tt_worker_attach(worker, &socket_ops, socket, TT_LINK_INITIATES, error);
  if (socket->link == NULL) goto attach;
  if (expected != NULL && tt_worker_expect(worker, socket->link, expected, error) == NULL) {
    end_link(socket, "another worker of that id is known");
    goto attach;
  }
  return socket;

attach: /* the host's close event frees the rest */
  end_socket(socket, CODE_NORMAL, "not needed");
  return NULL;
memory:
  tt_free(own_url);
  tt_free(socket);
  return NULL;
}

void tt_websocket_browser_close(tt_websocket_browser *socket, const char *reason) {
  end_socket(socket, CODE_NORMAL, reason);
  end_link(socket, reason);
}
