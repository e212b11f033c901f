#include "wasm/host.h"

#include <emscripten/emscripten.h>

/* EM_JS makes an import of each, which only this file may name: the functions below are for the others. */
/* clang-format off */
EM_JS(void, js_want_flush, (uint32_t worker), { Module["host"].wantFlush(worker >>> 0); })
EM_JS(void, js_want_flush_later, (uint32_t worker), { Module["host"].wantFlushLater(worker >>> 0); })
EM_JS(void, js_random, (void *bytes, size_t n_bytes), { Module["host"].random(bytes >>> 0, n_bytes >>> 0); })
EM_JS(void, js_wake, (void), { Module["host"].wake(); })
EM_JS(void, js_answer, (uint32_t token, int form, uint32_t tensor, const uint8_t *json, size_t n_bytes), {
  Module["host"].answer(token >>> 0, form, tensor >>> 0, json >>> 0, n_bytes >>> 0);
})
EM_JS(void, js_events, (uint32_t worker, int is_urgent), { Module["host"].events(worker >>> 0, is_urgent !== 0); })
EM_JS(void, js_port_post, (uint32_t port, const uint8_t *frame, size_t n_bytes), {
  Module["host"].portPost(port >>> 0, frame >>> 0, n_bytes >>> 0);
})
EM_JS(void, js_port_closed, (uint32_t port), { Module["host"].portClosed(port >>> 0); })
EM_JS(int, js_callback, (uint32_t number, uint32_t worker, uint32_t op, uint32_t n_args), {
  return Module["host"].callback(number >>> 0, worker >>> 0, op >>> 0, n_args >>> 0);
})
EM_JS(void, js_callback_gone, (uint32_t number), { Module["host"].callbackGone(number >>> 0); })
/* clang-format on */

void tt_host_want_flush(tt_handle worker) { js_want_flush(worker); }

void tt_host_want_flush_later(tt_handle worker) { js_want_flush_later(worker); }

void tt_host_random(void *bytes, size_t n_bytes) { js_random(bytes, n_bytes); }

void tt_host_wake(void) { js_wake(); }

void tt_host_answer(uint32_t token, tt_answer_form form, tt_handle tensor, const uint8_t *json, size_t n_bytes) {
  js_answer(token, (int)form, tensor, json, n_bytes);
}

void tt_host_events(tt_handle worker, int is_urgent) { js_events(worker, is_urgent); }

void tt_host_port_post(uint32_t port, const uint8_t *frame, size_t n_bytes) { js_port_post(port, frame, n_bytes); }

void tt_host_port_closed(uint32_t port) { js_port_closed(port); }

int tt_host_callback(uint32_t function, tt_handle worker, uint32_t op, uint32_t n_args) {
  return js_callback(function, worker, op, n_args);
}

void tt_host_callback_gone(uint32_t function) { js_callback_gone(function); }
