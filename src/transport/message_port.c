#include "transport/message_port.h"

#include "base/alloc.h"

struct tt_message_port {
  tt_link *link;
  tt_message_port_host host;
};

static void port_send(void *transport, const uint8_t *frame, size_t n_bytes) {
  tt_message_port *port = transport;
  port->host.post(port->host.context, frame, n_bytes);
}

static void port_close(void *transport, const char *reason) {
  tt_message_port *port = transport;
  port->host.closed(port->host.context, reason);
  tt_free(port);
}

static const tt_link_ops port_ops = {.name = "message port", .send = port_send, .close = port_close};

tt_message_port *tt_message_port_open(tt_worker *worker, unsigned flags, const char *expected, const tt_message_port_host *host,
                                      tt_error *error) {
  tt_message_port *port = tt_alloc(1, sizeof *port);
  if (port == NULL) {
    tt_fail(error, TT_ERR_MEMORY, "no memory for a message port");
    return NULL;
  }
  port->host = *host;
  port->link = tt_worker_attach(worker, &port_ops, port, flags, error);
  if (port->link == NULL) {
    tt_free(port);
    return NULL;
  }
  if (expected != NULL && tt_worker_expect(worker, port->link, expected, error) == NULL) {
    tt_link_closed(port->link, "another worker of that id is known");
    tt_free(port);
    return NULL;
  }
  return port;
}

void tt_message_port_receive(tt_message_port *port, const uint8_t *frame, size_t n_bytes) {
  tt_link_receive(port->link, frame, n_bytes);
}

void tt_message_port_lost(tt_message_port *port, const char *reason) {
  tt_link_closed(port->link, reason);
  tt_free(port);
}
