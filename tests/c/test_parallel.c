/* The pool: every item once whatever the number of threads, calls within calls, threads that sleep, threads that are refused. */
#define _GNU_SOURCE
#include "cmocka_all.h"

#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "kernels/convolution.h"
#include "kernels/parallel.h"

enum { N_ITEMS = 10007 };

/* How many more threads the system grants; negative: any number. Stands before libc's. */
static int n_granted = -1;

int pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*run)(void *), void *context) {
  if (n_granted == 0) return EAGAIN;
  if (n_granted > 0) n_granted--;
  int (*create)(pthread_t *, const pthread_attr_t *, void *(*)(void *), void *);
  *(void **)&create = dlsym(RTLD_NEXT, "pthread_create");
  return create(thread, attributes, run, context);
}

static void set_threads(int n_threads) { assert_int_equal(tt_parallel_set_threads(n_threads, NULL), TT_OK); }

typedef struct job {
  uint8_t counts[N_ITEMS];
  int64_t grain;
  atomic_int n_ranges;
  int n_slots;
  atomic_int n_inside[TT_MAX_THREADS];
} job;

/* Plain increments: who works on the same item at the same time is found by ThreadSanitizer, and by the sum. */
static void count(void *context, int64_t begin, int64_t end, int slot) {
  job *counted = context;
  assert_in_range(slot, 0, counted->n_slots - 1);
  assert_int_equal(atomic_fetch_add(&counted->n_inside[slot], 1), 0);
  assert_true(begin < end);
  for (int64_t i = begin; i < end; i++) counted->counts[i]++;
  atomic_fetch_add(&counted->n_ranges, 1);
  atomic_fetch_sub(&counted->n_inside[slot], 1);
}

static void check_counts(const job *counted, int64_t n_items) {
  for (int64_t i = 0; i < N_ITEMS; i++) assert_int_equal(counted->counts[i], i < n_items);
}

static void run_counted(int64_t n_items, int64_t grain) {
  static job counted;
  memset(&counted, 0, sizeof counted);
  counted.n_slots = tt_parallel_get_threads();
  tt_parallel_for(n_items, grain, count, &counted);
  check_counts(&counted, n_items);
}

static void numbers_that_are_none_are_refused(void **state) {
  (void)state;
  int before = tt_parallel_get_threads();
  assert_in_range(before, 1, TT_MAX_THREADS);
  tt_error error;
  assert_int_equal(tt_parallel_set_threads(0, &error), TT_ERR_ARGUMENT);
  assert_string_equal(error.message, "0 threads: there can be 1 to 64");
  assert_int_equal(tt_parallel_set_threads(TT_MAX_THREADS + 1, &error), TT_ERR_ARGUMENT);
  assert_int_equal(tt_parallel_get_threads(), before);
  set_threads(3);
  assert_int_equal(tt_parallel_get_threads(), 3);
}

static void small_work_starts_no_thread(void **state) {
  (void)state;
  set_threads(4);
  run_counted(0, 1);
  run_counted(7, 7);
  set_threads(1);
  run_counted(N_ITEMS, 1);
  assert_int_equal(tt_parallel_count_helpers(), 0);
}

static void threads_that_are_refused_are_done_without(void **state) {
  (void)state;
  n_granted = 0;
  set_threads(5);
  run_counted(N_ITEMS, 10);
  n_granted = -1;
  run_counted(N_ITEMS, 10);
  assert_int_equal(tt_parallel_count_helpers(), 0); /* not asked for again with every job */
  n_granted = 1;
  set_threads(5);
  run_counted(N_ITEMS, 10);
  n_granted = -1;
  while (tt_parallel_count_helpers() == 0) usleep(100);
  run_counted(N_ITEMS, 10);
  assert_int_equal(tt_parallel_count_helpers(), 1);
}

static void every_item_is_done_once(void **state) {
  (void)state;
  static const int64_t sizes[] = {1, 2, 63, 1000, N_ITEMS}, grains[] = {1, 3, 64, 5000, INT64_C(1) << 60};
  for (int n_threads = 1; n_threads <= 8; n_threads++) {
    set_threads(n_threads);
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
      for (size_t k = 0; k < sizeof grains / sizeof *grains; k++) run_counted(sizes[i], grains[k]);
    }
  }
}

typedef struct meeting {
  atomic_int n_there;
  int n_wanted;
} meeting;

/* Stays until so many are there: that can only end when each item has a thread of its own. */
static void meet(void *context, int64_t begin, int64_t end, int slot) {
  (void)slot;
  meeting *all = context;
  assert_int_equal(end - begin, 1);
  atomic_fetch_add(&all->n_there, 1);
  while (atomic_load(&all->n_there) < all->n_wanted) usleep(100);
}

static void threads_work_at_the_same_time(void **state) {
  (void)state;
  for (int n_threads = 2; n_threads <= 5; n_threads++) {
    set_threads(n_threads);
    meeting all = {.n_wanted = n_threads};
    tt_parallel_for(n_threads, 1, meet, &all);
    assert_int_equal(all.n_there, n_threads);
  }
}

static void threads_that_sleep_are_woken(void **state) {
  (void)state;
  set_threads(3);
  for (int i = 0; i < 5; i++) {
    usleep(5000);
    meeting all = {.n_wanted = 3};
    tt_parallel_for(3, 1, meet, &all);
  }
}

static void many_small_jobs(void **state) {
  (void)state;
  set_threads(4);
  for (int i = 0; i < 3000; i++) {
    if (i % 500 == 0) usleep(1000);
    run_counted(1 + i % 100, 1 + i % 7);
  }
}

static void within(void *context, int64_t begin, int64_t end, int slot) {
  (void)slot;
  for (int64_t i = begin; i < end; i++) {
    job *own = calloc(1, sizeof *own);
    own->n_slots = 1;
    tt_parallel_for(1000, 10, count, own);
    check_counts(own, 1000);
    free(own);
    ((uint8_t *)context)[i]++;
  }
}

static void calls_within_a_call_run_on_its_thread(void **state) {
  (void)state;
  set_threads(3);
  uint8_t counts[20] = {0};
  tt_parallel_for(20, 1, within, counts);
  for (int i = 0; i < 20; i++) assert_int_equal(counts[i], 1);
}

static void *call_often(void *context) {
  job *own = context;
  for (int i = 0; i < 300; i++) {
    memset(own->counts, 0, sizeof own->counts);
    tt_parallel_for(500, 5, count, own);
    check_counts(own, 500);
  }
  return NULL;
}

static void callers_do_not_disturb_each_other(void **state) {
  (void)state;
  set_threads(3);
  static job jobs[2];
  pthread_t other;
  jobs[0].n_slots = jobs[1].n_slots = 3;
  assert_int_equal(pthread_create(&other, NULL, call_often, &jobs[0]), 0);
  call_often(&jobs[1]);
  pthread_join(other, NULL);
}

static void convolutions_have_the_same_bits(void **state) {
  (void)state;
  const tt_convolution c = {.dtype = TT_DTYPE_F32,
                            .n = 9,
                            .groups = 2,
                            .in_channels = 8,
                            .out_channels = 16,
                            .in = {31, 33},
                            .out = {31, 33},
                            .kernel = {3, 3},
                            .stride = {1, 1},
                            .padding = {1, 1},
                            .dilation = {1, 1}};
  enum { N_IN = 9 * 8 * 31 * 33, N_OUT = 9 * 16 * 31 * 33, N_WEIGHTS = 16 * 4 * 9 };
  static float input[N_IN], weight[N_WEIGHTS], one[N_OUT], more[N_OUT];
  for (unsigned i = 0; i < N_IN; i++) input[i] = (float)(i * 7919 % 1013) / 331 - 1.5F;
  for (unsigned i = 0; i < N_WEIGHTS; i++) weight[i] = (float)(i * 104729 % 1009) / 307 - 1.5F;
  for (int n_threads = 1; n_threads <= 5; n_threads++) {
    set_threads(n_threads);
    memset(more, 0, sizeof more);
    assert_int_equal(tt_convolution_run(&c, input, weight, weight, n_threads == 1 ? one : more, NULL), TT_OK);
    if (n_threads > 1) assert_memory_equal(one, more, sizeof one);
  }
}

int main(void) {
  /* In this order: how many threads there are only grows. */
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(numbers_that_are_none_are_refused),
      cmocka_unit_test(small_work_starts_no_thread),
      cmocka_unit_test(threads_that_are_refused_are_done_without),
      cmocka_unit_test(every_item_is_done_once),
      cmocka_unit_test(threads_work_at_the_same_time),
      cmocka_unit_test(threads_that_sleep_are_woken),
      cmocka_unit_test(many_small_jobs),
      cmocka_unit_test(calls_within_a_call_run_on_its_thread),
      cmocka_unit_test(callers_do_not_disturb_each_other),
      cmocka_unit_test(convolutions_have_the_same_bits),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
