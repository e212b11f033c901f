/*
 * exports: the functions that JavaScript may call, all of them; wasm-build/exports lists the same names for the linker.
 *
 * Functions that return int answer a status; when it is not 0 the message is the scratch's text. Pointers and handles are 32-bit words.
 * `worker` and `tensor` are handles. Names of workers, URLs and JSON are written to the input (tt_wasm_input) as zero-terminated strings, at the offsets that are given.
 */
#ifndef TT_WASM_EXPORTS_H
#define TT_WASM_EXPORTS_H

#include <stdint.h>

#include "wasm/handles.h"
#include "wasm/scratch.h"

/* ---- the scratch ---- */

int tt_wasm_start(void); /* once, before all others */
tt_scratch *tt_wasm_scratch(void);
uint8_t *
tt_wasm_input(uint32_t n_bytes); /* room for that many bytes, which stays until a later call asks for more; NULL: no memory */
/* The text that the last call left: valid until the next. */
const uint8_t *tt_wasm_text(void);
uint32_t tt_wasm_text_bytes(void);
int tt_wasm_constants(void); /* text: JSON of the offsets in the scratch and of all enums that JavaScript needs */
/* How many threads may work on a large op (kernels/parallel.h). */
int tt_wasm_set_threads(int n_threads);
int tt_wasm_get_threads(void);
int tt_wasm_count_helpers(void);

/* ---- the tables: ops, and the rows of nn.def, optim.def, init.def, schedule.def and numpy.def ---- */

enum {
  TT_WASM_OPS,
  TT_WASM_MODULES,
  TT_WASM_OPTIMIZERS,
  TT_WASM_INITS,
  TT_WASM_SCHEDULES,
  TT_WASM_NUMPY,
};
/* text: what is to be known of rows at once: a line a row, its name, a space, and letters (tt_ops_lines, tt_numpy_lines). */
int tt_wasm_table(uint32_t table);
/* text: JSON of one row, by its number in the table. Of nn/ and numpy/ a row is asked for before any is called. */
int tt_wasm_row(uint32_t table, uint32_t number);

/* ---- tensors ---- */

/* Runs an op on the scratch's args; results are handles, none for an in-place op. In a page, an op without operands runs at its own worker. */
int tt_wasm_call(tt_handle worker, uint32_t op, uint32_t n_args);
/* A local tensor of scratch dtype, n_dims and dims: results[0], and data where its elements are to be written. */
int tt_wasm_tensor_new(void);
/* The elements of a local tensor, contiguous: data, and the meta. They (and what tensor_new left) stay until read_end. */
int tt_wasm_tensor_read(tt_handle tensor);
void tt_wasm_tensor_read_end(void);
/* dtype, n_dims, dims, flags; for a pointer id, id_there and, as text, its location; numbers[0]: which tensor its gradient is, if it has one here. */
int tt_wasm_tensor_meta(tt_handle tensor);
int tt_wasm_tensor_print(tt_handle tensor); /* text: as PyTorch prints it. TT_ERR_STATE for a pointer */
int tt_wasm_tensor_copies(
    tt_handle tensor);                      /* results, n_results: handles of a multi-pointer's copies; none of anything else */
int tt_wasm_tensor_chain(tt_handle tensor); /* text: "FloatTensor > _LocalTensor" */
void tt_wasm_tensor_dispose(tt_handle tensor);
/* text: the name of its grad_fn, "" for a leaf. TT_META_* of gradients are in tt_wasm_tensor_meta's flags. */
int tt_wasm_tensor_grad_fn(tt_handle tensor);
/* Has a function of JavaScript called with each gradient of a tensor; it may answer another. Scratch id: the number that removes it. */
int tt_wasm_register_hook(tt_handle worker, tt_handle tensor, uint32_t function);
int tt_wasm_remove_hook(tt_handle tensor); /* scratch id */
uint32_t tt_wasm_n_tensors(void);          /* how many handles to tensors there are */

/* ---- kinds ---- */

/* A kind whose methods are JavaScript's `function`: input: its name; ints: the numbers of the n_ops ops that it overrides. */
int tt_wasm_kind_new(int rank, uint32_t function, uint32_t n_ops);
int tt_wasm_kinds(void); /* text: a line per kind, its rank and its name */
/* Input: the kind's name; for unwrap "" stands for the highest there is. */
int tt_wasm_kind_wrap(tt_handle tensor);
int tt_wasm_kind_unwrap(tt_handle tensor);
/* results[0]: the tensor as it is below its highest kind; n_results 0 when it has none. */
int tt_wasm_kind_child(tt_handle tensor);
int tt_wasm_kind_log(tt_handle tensor); /* text: a line per command that its _LogTensor has kept, the oldest first */

/* ---- modules and optimisers: their handles are of types of their own ---- */

/* results[0]: a module of the row (its number in the table), its constructor's arguments being the scratch's args. */
int tt_wasm_module_new(tt_handle worker, uint32_t row, uint32_t n_args);
int tt_wasm_module_copy(tt_handle worker, tt_handle module); /* results[0] */
void tt_wasm_module_free(tt_handle module);
/* The i-th of its own tensors: text: its name; numbers[0]: how many there are; flags 1: a parameter; results[0], n_results 0: None. */
int tt_wasm_module_tensor(tt_handle module, uint32_t i);
int tt_wasm_module_set_tensor(tt_handle module, uint32_t i, tt_handle tensor); /* 0: None */
void tt_wasm_module_train(tt_handle module, int is_training);
/* Inputs are the scratch's args, tensors; answers as tt_wasm_call does. */
int tt_wasm_module_forward(tt_handle worker, tt_handle module, uint32_t n_args);
/* `tensor` holds from now on what `source` holds. */
int tt_wasm_tensor_assign(tt_handle tensor, tt_handle source);
int tt_wasm_optimizer_new(uint32_t row); /* results[0] */
void tt_wasm_optimizer_free(tt_handle optimizer);
/* The parameters are the first n_operands of the scratch's operands, the options its args. */
int tt_wasm_optimizer_add_group(tt_handle optimizer, uint32_t n_operands, uint32_t n_args);
int tt_wasm_optimizer_set_options(tt_handle optimizer, uint32_t group, uint32_t n_args);
int tt_wasm_optimizer_step(tt_handle worker, tt_handle optimizer);
int tt_wasm_optimizer_zero_grad(tt_handle worker, tt_handle optimizer, int set_to_none);
int tt_wasm_optimizer_bring(tt_handle worker, tt_handle optimizer);
/* The k-th state of a parameter: text: its name, "" behind the last; results[0], n_results 0 as long as there is none. */
int tt_wasm_optimizer_state(tt_handle optimizer, uint32_t group, uint32_t i, uint32_t k);
int tt_wasm_optimizer_set_state(tt_handle worker, tt_handle optimizer, uint32_t group, uint32_t i, tt_handle tensor);
/* ---- plans: see worker.h ---- */

int tt_wasm_plan_new(tt_handle worker); /* results[0] */
/* What it takes: the first n_args of the operands are answered as placeholders in results, the n_lent behind them stand for theirs until the end. */
int tt_wasm_plan_inputs(tt_handle plan, uint32_t n_args, uint32_t n_lent);
int tt_wasm_plan_end(tt_handle plan, uint32_t n_outputs);    /* operands: what the function answers */
int tt_wasm_plan_perform(tt_handle plan, uint32_t n_inputs); /* operands; results */
void tt_wasm_plan_free(tt_handle plan);
/* input: its name */

/* A row of torch.nn.init fills the first of the scratch's args. */
int tt_wasm_init(tt_handle worker, uint32_t row, uint32_t n_args);
/* numbers[0]: the rate of a schedule (scratch args) after n_steps of what began at `base`; torch.nn.init.calculate_gain of the input's name. */
int tt_wasm_schedule_rate(uint32_t row, uint32_t n_args, double base, double n_steps);
int tt_wasm_gain(double param);
/* The first n_operands of the scratch's operands are gradients. results[0]: their norm before. */
int tt_wasm_clip_norm(tt_handle worker, uint32_t n_operands, double max_norm, double norm_type);
int tt_wasm_clip_value(tt_handle worker, uint32_t n_operands, double most);

/* ---- within tt_host_callback ---- */

int tt_wasm_callback_result(tt_handle tensor); /* one more tensor that the function answers; it stays the caller's */
void tt_wasm_callback_fail(uint32_t status);   /* input: why */

/* ---- NumPy's functions (numpy/numpy.h) ---- */

/* As tt_wasm_call, of a row of that table. */
int tt_wasm_numpy_call(tt_handle worker, uint32_t number, uint32_t n_args);
int tt_wasm_numpy_print(tt_handle tensor, int is_repr); /* text: as NumPy prints it. TT_ERR_STATE for a pointer */

/* ---- files: `bytes` was allocated by malloc and stays the caller's; what is written is data, until tt_wasm_file_end ---- */

int tt_wasm_npy_read(const uint8_t *bytes, uint32_t n_bytes); /* results[0]: a local tensor */
int tt_wasm_npy_write(tt_handle tensor);                      /* data: of a local tensor */
/* text: {"tensors":[{"name","dtype","shape"},...],"metadata":{...}}; the file is open until tt_wasm_file_end. */
int tt_wasm_safetensors_read(const uint8_t *bytes, uint32_t n_bytes);
int tt_wasm_safetensors_tensor(uint32_t i);                 /* of the open file: results[0] */
int tt_wasm_safetensors_add(tt_handle tensor);              /* to the open file; input: its name at 0 */
int tt_wasm_safetensors_add_metadata(uint32_t text_offset); /* input: name at 0, text behind it */
int tt_wasm_safetensors_write(void);                        /* data: the open file */
void tt_wasm_file_end(void);

/* ---- workers ---- */

/* Input: id at 0, kind behind it. results[0]. */
int tt_wasm_worker_new(uint32_t kind_offset, double max_store_bytes, uint32_t max_objects, int is_storeless);
void tt_wasm_worker_free(tt_handle worker);
void tt_wasm_worker_flush(tt_handle worker);
void tt_wasm_worker_tick(tt_handle worker);
void tt_wasm_worker_listen(tt_handle worker, uint32_t event_mask);
/* Whether what tt_wasm_call does is recorded for gradients (torch.no_grad), from now on. At first it is. */
void tt_wasm_set_recording(int is_recording);
void tt_wasm_worker_seed(tt_handle worker); /* scratch id: torch.manual_seed */
/* numbers: frames in, out, bytes in, out, commands in, out, tensor bytes in, out */
int tt_wasm_worker_counters(tt_handle worker);
/* text: the log's records (wasm/event_log.h); numbers[type]: events that it had no room for. What was read is gone at the next call. */
int tt_wasm_worker_events(tt_handle worker);
int tt_wasm_worker_whoami(tt_handle worker); /* text: JSON */
int tt_wasm_worker_search(tt_handle worker); /* input: a query's JSON with its terms. text: JSON */
/* A text line per known worker: "1" when it is here or "0", then its id. */
int tt_wasm_worker_peers(tt_handle worker);
int tt_wasm_virtual_connect(tt_handle a, tt_handle b);
/* Delivers what virtual workers have sent each other, until nothing is left. */
void tt_wasm_virtual_poll(void);
int tt_wasm_add_via(tt_handle worker, uint32_t via_offset); /* input: id at 0 */
int tt_wasm_remove_via(tt_handle worker);                   /* input: id at 0 */

/* ---- the store ---- */

/* Scratch id: 0 for any. Input: metadata's JSON at 0 (n_bytes of it). Answers the id. */
int tt_wasm_set_object(tt_handle worker, tt_handle tensor, uint32_t metadata_bytes);
int tt_wasm_get_object(tt_handle worker); /* scratch id; results[0]: one more handle to it */
int tt_wasm_remove_object(tt_handle worker);

/* ---- what is answered later, through the host: `token` names the answer, scratch id the request for tt_wasm_cancel ---- */

/* Input: the peer at 0, metadata behind it. Scratch id: the id to take there, 0 for any. */
int tt_wasm_send(tt_handle worker, tt_handle tensor, uint32_t metadata_offset, uint32_t metadata_bytes, uint32_t token);
/* Copies. Input: n_peers ids, one behind the other, and metadata. */
int tt_wasm_send_copies(tt_handle worker, tt_handle tensor, uint32_t n_peers, uint32_t metadata_offset, uint32_t metadata_bytes,
                        uint32_t token);
int tt_wasm_move(tt_handle worker, tt_handle tensor, uint32_t token); /* the same, without metadata */
int tt_wasm_get(tt_handle worker, tt_handle tensor, uint32_t token);
int tt_wasm_fetch(tt_handle worker, tt_handle tensor, uint32_t token);
int tt_wasm_query(tt_handle worker, uint32_t query_offset, uint32_t query_bytes,
                  uint32_t token);                  /* input: the peer at 0, the query's JSON */
int tt_wasm_sync(tt_handle worker, uint32_t token); /* input: the peer at 0 */
void tt_wasm_cancel(tt_handle worker);              /* scratch id */
/* Input: the peer at 0; scratch: id, id_there and meta. results[0]. owns: freed there when the handle goes. */
int tt_wasm_create_pointer(tt_handle worker, int owns);

/* ---- connections ---- */

/* Input: url at 0, the expected worker's id behind it (0: none). Answers, as n_results, the number that events call it by. */
int tt_wasm_websocket_open(tt_handle worker, uint32_t expected_offset);
void tt_wasm_websocket_close(uint32_t socket); /* input: reason at 0 */
/* A message port that JavaScript calls `port`. Input: the expected worker's id at 0. flags: those of tt_worker_attach; a page's own worker (is_own) is where its
 * tensors live. Answers, as n_results, the number for the three calls below and for events. */
int tt_wasm_port_open(tt_handle worker, uint32_t port, uint32_t flags, int has_expected, int is_own);
void tt_wasm_port_receive(uint32_t number, uint32_t n_bytes); /* the frame is in the input */
void tt_wasm_port_lost(uint32_t number);                      /* input: reason at 0 */

#endif
