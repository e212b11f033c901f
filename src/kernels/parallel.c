#define _GNU_SOURCE /* sched_getaffinity */
#include "kernels/parallel.h"

static tt_status check_number(int n_threads, tt_error *error) {
  if (n_threads >= 1 && n_threads <= TT_MAX_THREADS) return TT_OK;
  return tt_fail(error, TT_ERR_ARGUMENT, "%d threads: there can be 1 to %d", n_threads, (int)TT_MAX_THREADS);
}

#if defined(__EMSCRIPTEN__) && !defined(__EMSCRIPTEN_PTHREADS__)

void tt_parallel_for(int64_t n_items, int64_t grain, tt_parallel_fn *fn, void *context) {
  (void)grain;
  if (n_items > 0) fn(context, 0, n_items, 0);
}

int tt_parallel_get_threads(void) { return 1; }

tt_status tt_parallel_set_threads(int n_threads, tt_error *error) {
  TT_TRY(check_number(n_threads, error));
  if (n_threads == 1) return TT_OK;
  return tt_fail(
      error, TT_ERR_STATE,
      "%d threads: there is one here. A page has more when it is served with the headers Cross-Origin-Opener-Policy: "
      "same-origin and "
      "Cross-Origin-Embedder-Policy: require-corp and says how many before it makes its worker; a native worker always has",
      n_threads);
}

int tt_parallel_count_helpers(void) { return 0; }

#else

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <unistd.h>
#if defined(__linux__)
#include <sched.h>
#endif

/* An idle helper looks for work this often before it sleeps: some 20 us, what lies between two ops of a training step. */
#if defined(__x86_64__) || defined(__i386__)
#define PAUSE() __builtin_ia32_pause()
enum { N_LOOKS = 500 };
#elif defined(__aarch64__)
#define PAUSE() __asm__ volatile("yield")
enum { N_LOOKS = 10000 };
#else
#define PAUSE() ((void)0)
enum { N_LOOKS = 20000 };
#endif

enum {
  MAX_HELPERS = TT_MAX_THREADS - 1,
  STACK_BYTES = 512 * 1024, /* kernels keep small blocks there and do not recurse */
  LINE_BYTES = 64,
};

/* The gate's highest bit: there is a job to be joined. The others count who are inside. */
static const unsigned OPEN = 1u << 31;

typedef struct helper {
  _Alignas(LINE_BYTES) atomic_bool is_called;
  atomic_bool is_asleep; /* or about to be; `wake` is signalled then */
  pthread_cond_t wake;
  int number;
} helper;

/*
 * A helper that has come in through the gate may read the job; it takes items until none is left, and goes out. The caller shuts the gate when
 * nothing is left and waits until nobody is inside: then all items are done, and the job may be written again. Who comes too late finds the gate shut.
 */
static struct {
  /* The job: written while the gate is shut and nobody inside. */
  tt_parallel_fn *fn;
  void *context;
  int64_t n_items, grain;
  int n_invited; /* helpers of lower numbers take part */

  _Alignas(LINE_BYTES) _Atomic int64_t next; /* the first item that nobody has taken */
  _Alignas(LINE_BYTES) atomic_uint gate;
  atomic_bool is_caller_asleep; /* or about to be; `done` is signalled then */

  _Alignas(LINE_BYTES) atomic_flag is_busy; /* somebody has a job, or is about to */
  atomic_int n_threads;                     /* 0: as many as there are processors */
  atomic_bool is_full;                      /* the system has refused a thread */
  atomic_int n_arrived;
  pthread_mutex_t mutex; /* for sleeping alone */
  pthread_cond_t done;

  int n_helpers; /* that were started; whose job it is may start more */
  helper helpers[MAX_HELPERS];
} pool = {.is_busy = ATOMIC_FLAG_INIT, .mutex = PTHREAD_MUTEX_INITIALIZER, .done = PTHREAD_COND_INITIALIZER};

/* Runs of items are long at first and short in the end, when all are to be done at the same time. */
static void take_items(int slot) {
  int64_t begin = atomic_load_explicit(&pool.next, memory_order_relaxed);
  while (begin < pool.n_items) {
    int64_t left = pool.n_items - begin, n = left / (2 * (pool.n_invited + 1));
    if (n < pool.grain) n = pool.grain < left ? pool.grain : left;
    if (!atomic_compare_exchange_weak_explicit(&pool.next, &begin, begin + n, memory_order_relaxed, memory_order_relaxed))
      continue;
    pool.fn(pool.context, begin, begin + n, slot);
    begin = atomic_load_explicit(&pool.next, memory_order_relaxed);
  }
}

static bool come_in(void) {
  unsigned gate = atomic_load(&pool.gate);
  while (gate & OPEN) {
    if (atomic_compare_exchange_weak(&pool.gate, &gate, gate + 1)) return true;
  }
  return false;
}

static void go_out(void) {
  if (atomic_fetch_sub(&pool.gate, 1) != 1 || !atomic_load(&pool.is_caller_asleep)) return;
  pthread_mutex_lock(&pool.mutex);
  pthread_cond_signal(&pool.done);
  pthread_mutex_unlock(&pool.mutex);
}

static void wait_for_call(helper *self) {
  for (int i = 0; i < N_LOOKS; i++, PAUSE()) {
    if (atomic_load_explicit(&self->is_called, memory_order_relaxed)) return;
  }
  pthread_mutex_lock(&pool.mutex);
  atomic_store(&self->is_asleep, true);
  while (!atomic_load(&self->is_called)) pthread_cond_wait(&self->wake, &pool.mutex);
  atomic_store(&self->is_asleep, false);
  pthread_mutex_unlock(&pool.mutex);
}

static void *help(void *context) {
  helper *self = context;
  atomic_fetch_add(&pool.n_arrived, 1);
  for (;;) {
    wait_for_call(self);
    atomic_store(&self->is_called, false);
    if (!come_in()) continue;
    if (self->number < pool.n_invited) take_items(self->number + 1);
    go_out();
  }
  return NULL;
}

/* Nobody joins them: they end with the process, or with the browser's worker. */
static bool start_helper(int number) {
  helper *self = &pool.helpers[number];
  self->number = number;
  pthread_t thread;
  pthread_attr_t attributes;
  if (pthread_attr_init(&attributes) != 0) return false;
  bool is_started = pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED) == 0 &&
                    pthread_attr_setstacksize(&attributes, STACK_BYTES) == 0 && pthread_cond_init(&self->wake, NULL) == 0 &&
                    pthread_create(&thread, &attributes, help, self) == 0;
  pthread_attr_destroy(&attributes);
  return is_started;
}

static void call_helpers(void) {
  while (pool.n_helpers < pool.n_invited && !atomic_load(&pool.is_full)) {
    if (start_helper(pool.n_helpers)) {
      pool.n_helpers++;
    } else {
      atomic_store(&pool.is_full, true); /* until another number is set: asking costs more than most jobs */
    }
  }
  bool is_any_asleep = false;
  int n_called = pool.n_invited < pool.n_helpers ? pool.n_invited : pool.n_helpers;
  for (int i = 0; i < n_called; i++) {
    atomic_store(&pool.helpers[i].is_called, true);
    if (atomic_load(&pool.helpers[i].is_asleep)) is_any_asleep = true;
  }
  if (!is_any_asleep) return;
  pthread_mutex_lock(&pool.mutex);
  for (int i = 0; i < n_called; i++) {
    if (atomic_load(&pool.helpers[i].is_asleep)) pthread_cond_signal(&pool.helpers[i].wake);
  }
  pthread_mutex_unlock(&pool.mutex);
}

static void wait_for_helpers(void) {
  for (int i = 0; i < N_LOOKS; i++, PAUSE()) {
    if (atomic_load(&pool.gate) == 0) return;
  }
  pthread_mutex_lock(&pool.mutex);
  atomic_store(&pool.is_caller_asleep, true);
  while (atomic_load(&pool.gate) != 0) pthread_cond_wait(&pool.done, &pool.mutex);
  atomic_store(&pool.is_caller_asleep, false);
  pthread_mutex_unlock(&pool.mutex);
}

void tt_parallel_for(int64_t n_items, int64_t grain, tt_parallel_fn *fn, void *context) {
  if (n_items <= 0) return;
  int n_threads = n_items <= grain ? 1 : tt_parallel_get_threads();
  if (n_threads == 1 || atomic_flag_test_and_set(&pool.is_busy)) {
    fn(context, 0, n_items, 0);
    return;
  }
  int64_t n_more = (n_items - 1) / grain; /* runs of items, beside the caller's first */
  pool.fn = fn, pool.context = context, pool.n_items = n_items, pool.grain = grain;
  pool.n_invited = n_more < n_threads - 1 ? (int)n_more : n_threads - 1;
  atomic_store_explicit(&pool.next, 0, memory_order_relaxed);
  atomic_store(&pool.gate, OPEN);
  call_helpers();
  take_items(0);
  if (atomic_fetch_and(&pool.gate, ~OPEN) != OPEN) wait_for_helpers();
  atomic_flag_clear(&pool.is_busy);
}

static int count_processors(void) {
#if defined(__EMSCRIPTEN__)
  return 1; /* JavaScript says how many it wants */
#elif defined(__linux__)
  cpu_set_t set; /* what the process is held to, which may be fewer than there are */
  if (sched_getaffinity(0, sizeof set, &set) == 0) return CPU_COUNT(&set);
#endif
  return (int)sysconf(_SC_NPROCESSORS_ONLN);
}

int tt_parallel_get_threads(void) {
  int n_threads = atomic_load_explicit(&pool.n_threads, memory_order_relaxed);
  if (n_threads != 0) return n_threads;
  int n_processors = count_processors();
  n_threads = n_processors < 1 ? 1 : n_processors > TT_MAX_THREADS ? TT_MAX_THREADS : n_processors;
  atomic_store_explicit(&pool.n_threads, n_threads, memory_order_relaxed);
  return n_threads;
}

tt_status tt_parallel_set_threads(int n_threads, tt_error *error) {
  TT_TRY(check_number(n_threads, error));
  atomic_store_explicit(&pool.n_threads, n_threads, memory_order_relaxed);
  atomic_store(&pool.is_full, false);
  return TT_OK;
}

int tt_parallel_count_helpers(void) { return atomic_load(&pool.n_arrived); }

#endif
