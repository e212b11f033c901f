/*
 * loop: the event loop of a native process: timers, signals, and the place where connections and servers live. libev underneath.
 *
 * One thread: everything of net/ is called from the thread that runs the loop, and calls back in it. One loop per process (the
 * library below keeps one context). Callbacks never run inside the call that causes them, unless a function says so.
 */
#ifndef TT_NET_LOOP_H
#define TT_NET_LOOP_H

#include <stdint.h>

#include "base/status.h"

typedef struct tt_loop tt_loop;

typedef enum tt_log_level { TT_LOG_ERROR, TT_LOG_INFO, TT_LOG_DEBUG } tt_log_level;

/* One line without its end; `line` is valid during the call. */
typedef void (*tt_log_sink)(void *user, tt_log_level level, const char *line);

/* Owner: the caller, tt_loop_free. Raises the process's limit of open files as far as it goes. */
tt_status tt_loop_new(tt_loop **loop, tt_error *error);

/*
 * Ends every connection that is left (their `closed` is called from here), frees servers that were not freed, then the loop.
 * Timers, turns and signal watches belong to their makers and must be gone before.
 */
void tt_loop_free(tt_loop *loop);

/* Runs until tt_loop_stop. */
void tt_loop_run(tt_loop *loop);

/* One pass: waits at most wait_ms (0: not at all) for something to happen and handles it. For programs with a loop of their own. */
void tt_loop_pass(tt_loop *loop, int64_t wait_ms);

/* The run or pass that is under way returns after the callbacks that are due. */
void tt_loop_stop(tt_loop *loop);

/* Where net/ and who uses the loop report what happens; NULL (the default) drops it. */
void tt_loop_set_log(tt_loop *loop, tt_log_sink sink, void *user);

#if defined(__GNUC__)
__attribute__((format(printf, 3, 4)))
#endif
void tt_loop_log(tt_loop *loop, tt_log_level level, const char *format, ...);

/* Timers. `fired` may stop, start or free its own timer. */
typedef struct tt_timer tt_timer;

tt_timer *tt_timer_new(tt_loop *loop, void (*fired)(void *user),
                       void *user); /* NULL: no memory. Owner: the caller, tt_timer_free */
void tt_timer_start(tt_timer *timer, int64_t after_ms, int64_t every_ms); /* every_ms 0: once. Starts anew when it runs */
void tt_timer_stop(tt_timer *timer);
void tt_timer_free(tt_timer *timer); /* NULL is allowed; it never fires again */

/* A hook that is called each time before the loop waits: the end of a turn, where what gathered can leave in one frame. */
typedef struct tt_turn tt_turn;

tt_turn *tt_turn_new(tt_loop *loop, void (*ended)(void *user),
                     void *user); /* NULL: no memory. Owner: the caller, tt_turn_free */
void tt_turn_free(tt_turn *turn);

/* Watches a signal (SIGTERM ...) in place of its default action. */
typedef struct tt_signal tt_signal;

tt_signal *tt_signal_new(tt_loop *loop, int number, void (*caught)(void *user, int number), void *user); /* NULL: no memory */
void tt_signal_free(tt_signal *signal);

#endif
