/*
 * command_run: the records of a RUN frame. Layout: PROTOCOL.md, "Commands".
 *
 * The writer appends whole records to a payload and trusts its caller with the limits of PROTOCOL.md; an append that finds no memory
 * leaves the buffer `failed`. The reader walks a payload and validates as it goes. Lists and strings that it answers are borrowed, from the
 * payload where alignment allows, else from the reader itself: valid until the next record.
 *
 * On the wire an operand is an id; in a record's arguments it is a tt_wire_value, which whoever executes the command looks up.
 */
#ifndef TT_WIRE_COMMAND_RUN_H
#define TT_WIRE_COMMAND_RUN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/status.h"
#include "ops/op.h"
#include "wire/prelude.h"

typedef enum tt_record_kind {
  TT_RECORD_CALL = 1,
  TT_RECORD_FREE = 2,
  TT_RECORD_FETCH = 3,
  TT_RECORD_SEND = 4,
  TT_RECORD_PULL = 5,
  TT_RECORD_SYNC = 6,
  TT_RECORD_DONE = 7,
  TT_RECORD_PROMISE = 8,
  TT_RECORD_ASSIGN = 9,
  TT_RECORD_TENSOR = 10,
  TT_RECORD_PLAN = 11,
  TT_RECORD_PERFORM = 12,
} tt_record_kind;

enum { TT_CALL_NO_GRAD = 1, TT_FETCH_TAKE = 1, TT_FETCH_GRADIENTS = 2 };
enum { TT_SEND_MOVE = 1, TT_SEND_POINTER = 2 }; /* one of them at most */
enum { TT_TENSOR_FULFILS = 2 };
enum { TT_PLAN_FORGET = 1 };

/* One argument as it stands on the wire. */
typedef struct tt_wire_value {
  tt_value value;      /* operands are NULL here: their ids stand in `ids` */
  const uint64_t *ids; /* for TT_VALUE_OPERAND (1) and TT_VALUE_OPERANDS (value.n) */
} tt_wire_value;

/* Which fields are set follows from the kind; the others are whatever they were: a record is large, and runs are long. */
typedef struct tt_record {
  tt_record_kind kind;
  uint8_t flags;
  uint16_t op;                       /* CALL: the sender's number */
  size_t n_args;                     /* CALL */
  tt_wire_value args[TT_MAX_PARAMS]; /* CALL */
  size_t n_results;                  /* CALL PERFORM; PLAN: how many it answers */
  uint64_t results[TT_MAX_RESULTS];  /* CALL PERFORM; PLAN: the slots of what it answers */
  size_t n_ids;                      /* FREE PERFORM; PLAN: how many it takes */
  const uint64_t *ids;               /* FREE; PERFORM: what it takes */
  uint32_t n_slots;                  /* PLAN */
  uint64_t request;                  /* FETCH SEND PULL SYNC DONE ASSIGN */
  uint64_t object;                   /* FETCH SEND PULL PROMISE ASSIGN; PLAN PERFORM: the plan */
  uint64_t object_there;             /* SEND */
  tt_name worker;                    /* SEND PROMISE ASSIGN, and TENSOR: who promised it; empty: nobody */
  const uint8_t *data;               /* TENSOR: as the payload of a DATA frame; see tensor_codec.h. PLAN: its records */
  size_t n_data_bytes;               /* TENSOR PLAN */
} tt_record;

/* Appends a CALL. Ids of operands come from `id_of(operand)`: the chain above knows what its operands are. */
typedef uint64_t tt_operand_id_fn(const tt_operand *operand);
void tt_run_write_call(tt_buffer *run, uint8_t flags, uint16_t op, const tt_value *args, size_t n_args, tt_operand_id_fn *id_of,
                       const uint64_t *results, size_t n_results);
void tt_run_write_free(tt_buffer *run, const uint64_t *ids, size_t n_ids); /* a record for every 4,096 */
/* Adds an id to the FREE that begins at `at`; false when something stands behind it, or it is full. */
bool tt_run_add_free(tt_buffer *run, size_t at, uint64_t id);
void tt_run_write_fetch(tt_buffer *run, uint8_t flags, uint64_t request, uint64_t object);
void tt_run_write_send(tt_buffer *run, uint8_t flags, uint64_t request, uint64_t object, uint64_t object_there, tt_name worker);
void tt_run_write_pull(tt_buffer *run, uint64_t request, uint64_t object);
void tt_run_write_sync(tt_buffer *run, uint64_t request);
void tt_run_write_done(tt_buffer *run, uint64_t request);
void tt_run_write_promise(tt_buffer *run, uint64_t object, tt_name from);
void tt_run_write_assign(tt_buffer *run, uint64_t request, uint64_t object, tt_name to);
/* The head of a TENSOR, which n_data_bytes have to follow. promised_by: empty when it fulfils no promise. */
void tt_run_write_tensor(tt_buffer *run, tt_name promised_by, size_t n_data_bytes);
size_t tt_run_tensor_bytes(tt_name promised_by, size_t n_data_bytes); /* of the whole record */

/* outputs: the slots of what it answers. body: CALL and FREE records whose ids are slots, from 1 to n_slots, of which the first n_inputs are what it takes. */
void tt_run_write_plan(tt_buffer *run, uint64_t plan, uint32_t n_slots, size_t n_inputs, const uint64_t *outputs,
                       size_t n_outputs, const tt_buffer *body);
void tt_run_write_forget(tt_buffer *run, uint64_t plan);
void tt_run_write_perform(tt_buffer *run, uint64_t plan, const uint64_t *inputs, size_t n_inputs, const uint64_t *outputs,
                          size_t n_outputs);

typedef struct tt_run_reader {
  tt_reader reader;
  uint64_t operand_ids[TT_MAX_PARAMS]; /* the record's single operands, by argument */
  uint64_t *scratch;                   /* owned; lists that could not be borrowed. Never larger than the payload */
  size_t n_read;
  size_t position; /* index of the record last read or refused, from 0; what errors call "command" */
} tt_run_reader;

void tt_run_reader_init(tt_run_reader *reader, const uint8_t *payload, size_t n_bytes);
void tt_run_reader_release(tt_run_reader *reader);
/*
 * Reads the next record; *at_end is set, and nothing read, behind the last. After an error `record` holds nothing of use and the reader stays
 * where it was. Errors: TT_ERR_PROTOCOL, TT_ERR_MEMORY.
 */
tt_status tt_run_read(tt_run_reader *reader, tt_record *record, bool *at_end, tt_error *error);

#endif
