/*
 * host: what the core asks of JavaScript. Each call here ends in the function of the same name of the object that JavaScript gave as `host` when it
 * loaded the core (web/core.js). None of them but tt_host_callback may call back into the core; they note what there is to do.
 */
#ifndef TT_WASM_HOST_H
#define TT_WASM_HOST_H

#include <stddef.h>
#include <stdint.h>

#include "wasm/handles.h"

/* What a request was answered with. */
typedef enum tt_answer_form { TT_ANSWER_DONE, TT_ANSWER_TENSOR, TT_ANSWER_CONTROL, TT_ANSWER_ERROR } tt_answer_form;

/* A worker has something for tt_wasm_worker_flush. */
void tt_host_want_flush(tt_handle worker);
void tt_host_want_flush_later(tt_handle worker); /* in a few milliseconds is soon enough */
/* Fills with the host's randomness. */
void tt_host_random(void *bytes, size_t n_bytes);
/* Virtual workers have sent each other something: tt_wasm_virtual_poll is wanted. */
void tt_host_wake(void);
/* The answer to the request that JavaScript called `token`. The bytes (JSON, as on the wire) are valid during the call. */
void tt_host_answer(uint32_t token, tt_answer_form form, tt_handle tensor, const uint8_t *json, size_t n_bytes);
/* The log of that worker has its first event since it was taken (is_urgent: or one that should not wait for a batch). */
void tt_host_events(tt_handle worker, int is_urgent);
/* A frame for the message port that JavaScript called `port`; the bytes are valid during the call. */
void tt_host_port_post(uint32_t port, const uint8_t *frame, size_t n_bytes);
void tt_host_port_closed(uint32_t port);
/* Runs a function with the arguments in the scratch, as wasm/callback.h says. Answers a status; throws nothing. */
int tt_host_callback(uint32_t function, tt_handle worker, uint32_t op, uint32_t n_args);

/* A function of JavaScript that the core was given will not be called any more. */
void tt_host_callback_gone(uint32_t function);

#endif
