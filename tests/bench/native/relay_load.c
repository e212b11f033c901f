/*
 * relay_load: load for a relay: pairs of workers of which one sends frames to the other, and workers that are merely there.
 *
 *   relay_load PORT [--pairs N] [--bytes N] [--in-flight N] [--seconds S] [--idle N]
 *
 * Opens every connection, registers it (wire/PROTOCOL.md, "Meeting"), prints `{"ready": CONNECTIONS}`, and then, for S seconds, lets each pair have as
 * many frames in flight as was said. Every frame that arrives is compared: its sequence is the next one and its bytes are those that were sent; what
 * is not as it should be ends the program with 1. Prints what arrived and how busy this program was (1: it may be what bounds the figure). Without
 * pairs it waits for the end of its input instead.
 *
 * A thread of its own would cost more than it gives: what is sent is a ring of frames made and masked beforehand, of which only the
 * sequence is written anew, and what arrives is looked at in the buffer that it was read into.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/buffer.h"
#include "wire/prelude.h"

enum {
  READ_BYTES = 256 * 1024,
  RING_BYTES = 64 * 1024, /* of frames in flight; larger ones share one place */
  AT_SEQUENCE = 16,       /* in a frame */
  LOOKED_AT = 24,         /* bytes of a frame that tell its type and its sequence */
  MAX_HEAD_BYTES = 10 + 125,
  MAX_HEADER_BYTES = 14,
  BINARY = 0x82, /* first bytes of frames that are whole messages */
  PING = 0x89,
  PONG = 0x8a,
  OPENING_AT_ONCE = 64,
  EVENTS_A_PASS = 512,
};

static const uint8_t MASK[8] = {0x37, 0xa1, 0x5c, 0xe9, 0x37, 0xa1, 0x5c, 0xe9};
static const double WARM_UP_SECONDS = 0.3;

typedef enum phase { UPGRADING, REGISTERING, READY } phase;

typedef struct pair pair;

typedef struct peer {
  int socket;
  phase phase;
  pair *receives; /* NULL: what comes is read and forgotten */
  char id[32];
  uint8_t head[MAX_HEAD_BYTES]; /* of a frame whose beginning came in pieces */
  size_t n_head;
  size_t frame_bytes, at; /* of the frame that is arriving; 0: between two */
  bool is_expected;       /* it is one of the pair's, and not news of others */
} peer;

struct pair {
  peer *from;
  uint8_t *plain;      /* a frame */
  uint8_t *ring;       /* n_places of them, masked, with their headers */
  size_t header_bytes; /* of a WebSocket frame */
  uint64_t n_begun;    /* frames whose sequence is in the ring */
  uint64_t sent_bytes, n_arrived;
};

static struct {
  size_t n_pairs, frame_bytes, in_flight, n_idle;
  double seconds;
} options = {.n_pairs = 0, .frame_bytes = 128, .in_flight = 64, .seconds = 2};

static struct sockaddr_in relay_address = {.sin_family = AF_INET};
static int events_fd;
static peer *peers;
static pair *pairs;
static size_t n_peers, n_opened, n_ready, n_places, wire_bytes;
static uint8_t received[READ_BYTES];

static void fail(const char *what) {
  fprintf(stderr, "relay_load: %s\n", what);
  exit(EXIT_FAILURE);
}

static void fail_system(const char *what) {
  fprintf(stderr, "relay_load: %s: %s\n", what, strerror(errno));
  exit(EXIT_FAILURE);
}

static void *need(void *memory) {
  if (memory == NULL) fail("no memory");
  return memory;
}

static double seconds_of(clockid_t clock) {
  struct timespec now;
  clock_gettime(clock, &now);
  return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

/* ---- frames ---- */

static size_t write_header(uint8_t *at, uint8_t first, size_t n_bytes) {
  size_t n = 0;
  at[n++] = first;
  if (n_bytes < 126) {
    at[n++] = 0x80 | (uint8_t)n_bytes;
  } else if (n_bytes <= UINT16_MAX) {
    at[n++] = 0x80 | 126;
    at[n++] = (uint8_t)(n_bytes >> 8);
    at[n++] = (uint8_t)n_bytes;
  } else {
    at[n++] = 0x80 | 127;
    for (int shift = 56; shift >= 0; shift -= 8) at[n++] = (uint8_t)((uint64_t)n_bytes >> shift);
  }
  memcpy(at + n, MASK, 4);
  return n + 4;
}

/* One small frame, when nothing else is being sent. */
static void send_frame(const peer *to, uint8_t first, const uint8_t *payload, size_t n_bytes) {
  uint8_t bytes[256];
  if (n_bytes > sizeof bytes - MAX_HEADER_BYTES) fail("a ping that is too long");
  size_t header_bytes = write_header(bytes, first, n_bytes);
  for (size_t i = 0; i < n_bytes; i++) bytes[header_bytes + i] = payload[i] ^ MASK[i & 3];
  ssize_t n_sent = send(to->socket, bytes, header_bytes + n_bytes, MSG_NOSIGNAL);
  if (n_sent != (ssize_t)(header_bytes + n_bytes)) fail_system("cannot send HELLO, or a pong");
}

static void make_ring(pair *of, const char *to) {
  tt_buffer frame;
  tt_buffer_init(&frame);
  tt_prelude prelude = {
      .type = TT_FRAME_RUN, .stream = 1, .sequence = 1, .source = tt_name_of(of->from->id), .destination = tt_name_of(to)};
  size_t prelude_bytes = tt_prelude_bytes(prelude.source.n_bytes, prelude.destination.n_bytes);
  if (options.frame_bytes < prelude_bytes) fail("--bytes: the prelude alone has more");
  tt_prelude_write(&frame, &prelude, options.frame_bytes - prelude_bytes);
  uint32_t noise = (uint32_t)(of - pairs) + 1;
  while (frame.n_bytes < options.frame_bytes) {
    noise = noise * 1664525 + 1013904223;
    tt_buffer_u8(&frame, (uint8_t)(noise >> 24));
  }
  if (frame.failed) fail("no memory");
  of->plain = frame.bytes;
  of->ring = need(tt_alloc(n_places, wire_bytes));
  for (size_t i = 0; i < n_places; i++) {
    uint8_t *at = of->ring + i * wire_bytes;
    of->header_bytes = write_header(at, BINARY, options.frame_bytes);
    for (size_t j = 0; j < options.frame_bytes; j++) at[of->header_bytes + j] = of->plain[j] ^ MASK[j & 3];
  }
}

static void begin_frame(pair *of) {
  uint8_t *place = of->ring + of->n_begun % n_places * wire_bytes;
  tt_store_u64(place + of->header_bytes + AT_SEQUENCE, ++of->n_begun ^ tt_load_u64(MASK));
}

/* Sends as much as may be in flight and as the socket takes. */
static void send_more(pair *of) {
  uint64_t allowed = of->n_arrived + options.in_flight;
  for (;;) {
    uint64_t n_sent = of->sent_bytes / wire_bytes;
    uint64_t round_end = (n_sent / n_places + 1) * n_places;
    uint64_t end = allowed < round_end ? allowed : round_end;
    while (of->n_begun < end) begin_frame(of);
    size_t left = (size_t)(end * wire_bytes - of->sent_bytes);
    if (left == 0) return;
    ssize_t n = send(of->from->socket, of->ring + of->sent_bytes % (n_places * wire_bytes), left, MSG_NOSIGNAL);
    if (n < 0 && errno == EAGAIN) return; /* epoll tells when it takes more */
    if (n < 0) fail_system("a sender's connection broke");
    of->sent_bytes += (uint64_t)n;
  }
}

/* ---- what arrives ---- */

static void begin_arriving(peer *to, const uint8_t *frame, size_t n_bytes) {
  to->frame_bytes = n_bytes;
  to->at = LOOKED_AT;
  to->is_expected = to->receives != NULL && frame[3] == TT_FRAME_RUN;
  if (!to->is_expected) {
    if (to->phase == READY && frame[3] != TT_FRAME_JOINED) fail("a frame that nobody expected, or out of place");
    return;
  }
  pair *of = to->receives;
  if (n_bytes != options.frame_bytes || memcmp(frame, of->plain, AT_SEQUENCE) != 0) fail("a frame that was not sent");
  if (tt_load_u64(frame + AT_SEQUENCE) != of->n_arrived + 1) fail("a frame is missing, or there twice");
}

static void end_arriving(peer *to) {
  to->frame_bytes = 0;
  if (to->is_expected) {
    to->receives->n_arrived++;
  } else if (to->phase == REGISTERING) {
    to->phase = READY;
    n_ready++;
  }
}

/* Answers how many bytes a frame's header has, as far as these tell, and in *length what it announces. */
static size_t read_header(const uint8_t *at, size_t n_bytes, size_t *length) {
  if (n_bytes < 2) return 2;
  if ((at[0] != BINARY && at[0] != PING) || (at[1] & 0x80) != 0)
    fail("a frame that is neither binary nor a ping, or in fragments");
  size_t n = at[1] < 126 ? 2 : at[1] == 126 ? 4 : 10;
  if (n_bytes < n) return n;
  *length = at[1];
  if (n > 2) *length = 0;
  for (size_t i = 2; i < n; i++) *length = *length << 8 | at[i];
  return n;
}

static void take_in(peer *to, const uint8_t *bytes, size_t n_bytes) {
  while (n_bytes > 0) {
    size_t n;
    if (to->frame_bytes == 0) {
      const uint8_t *head = to->n_head > 0 ? to->head : bytes;
      size_t n_head = to->n_head > 0 ? to->n_head : n_bytes, length = 0;
      size_t header_bytes = read_header(head, n_head, &length);
      bool is_ping = head[0] == PING;
      size_t needed = header_bytes + (n_head < header_bytes || !is_ping ? LOOKED_AT : length);
      if (n_head < needed) { /* one byte more of the head until it is whole: this is rare */
        n = to->n_head > 0 ? 1 : n_bytes;
        memcpy(to->head + to->n_head, bytes, n);
        to->n_head += n;
      } else if (is_ping) {
        n = to->n_head > 0 ? 0 : needed;
        send_frame(to, PONG, head + header_bytes, length);
        to->n_head = 0;
      } else {
        n = to->n_head > 0 ? 0 : needed;
        if (length < TT_PRELUDE_FIXED_BYTES) fail("a frame without a prelude");
        begin_arriving(to, head + header_bytes, length);
        to->n_head = 0;
      }
    } else {
      n = to->frame_bytes - to->at < n_bytes ? to->frame_bytes - to->at : n_bytes;
      if (to->is_expected && memcmp(bytes, to->receives->plain + to->at, n) != 0)
        fail("a frame has other bytes than were sent");
      to->at += n;
      if (to->at == to->frame_bytes) end_arriving(to);
    }
    bytes += n;
    n_bytes -= n;
  }
}

static void greet(peer *to) {
  tt_buffer hello;
  tt_buffer_init(&hello);
  tt_prelude_write(&hello, &(tt_prelude){.type = TT_FRAME_HELLO, .stream = 1, .source = tt_name_of(to->id)}, 0);
  if (hello.failed) fail("no memory");
  send_frame(to, BINARY, hello.bytes, hello.n_bytes);
  tt_buffer_release(&hello);
  to->phase = REGISTERING;
}

static void on_readable(peer *to) {
  for (;;) {
    ssize_t n = recv(to->socket, received, sizeof received, 0);
    if (n < 0 && errno == EAGAIN) return;
    if (n < 0) fail_system("a connection broke");
    if (n == 0) fail("the relay closed a connection");
    if (to->phase == UPGRADING) { /* nothing follows the answer before HELLO; it comes at once */
      if (memcmp(received, "HTTP/1.1 101", 12) != 0 || memcmp(received + n - 4, "\r\n\r\n", 4) != 0) fail("no upgrade");
      greet(to);
    } else {
      take_in(to, received, (size_t)n);
    }
    if ((size_t)n < sizeof received) return;
  }
}

static void open_peer(peer *to, size_t number) {
  char request[256];
  snprintf(to->id, sizeof to->id, "worker-%zu", number);
  to->socket = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (to->socket < 0) fail_system("no socket");
  setsockopt(to->socket, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
  if (connect(to->socket, (struct sockaddr *)&relay_address, sizeof relay_address) != 0) fail_system("cannot connect");
  int n_bytes = snprintf(request, sizeof request,
                         "GET / HTTP/1.1\r\nHost: localhost:%u\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                         "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n\r\n",
                         ntohs(relay_address.sin_port));
  if (send(to->socket, request, (size_t)n_bytes, MSG_NOSIGNAL) != n_bytes) fail_system("cannot send a request");
  fcntl(to->socket, F_SETFL, O_NONBLOCK);
  struct epoll_event event = {.events = EPOLLIN | EPOLLOUT | EPOLLET, .data.ptr = to};
  if (epoll_ctl(events_fd, EPOLL_CTL_ADD, to->socket, &event) != 0) fail_system("epoll");
}

static void pass(int wait_ms) {
  struct epoll_event events[EVENTS_A_PASS];
  int n = epoll_wait(events_fd, events, EVENTS_A_PASS, wait_ms);
  for (int i = 0; i < n; i++) on_readable(events[i].data.ptr);
}

/* ---- the program ---- */

static size_t number_of(const char *text) {
  char *end;
  errno = 0;
  unsigned long number = strtoul(text, &end, 10);
  if (errno != 0 || *end != '\0' || end == text) fail("an option takes a whole number");
  return number;
}

static void read_options(int argc, char **argv) {
  static const struct option LONG[] = {{"pairs", required_argument, NULL, 'p'},     {"bytes", required_argument, NULL, 'b'},
                                       {"in-flight", required_argument, NULL, 'f'}, {"seconds", required_argument, NULL, 's'},
                                       {"idle", required_argument, NULL, 'i'},      {0}};
  for (int option; (option = getopt_long(argc, argv, "", LONG, NULL)) != -1;) {
    if (option == 'p') options.n_pairs = number_of(optarg);
    if (option == 'b') options.frame_bytes = number_of(optarg);
    if (option == 'f') options.in_flight = number_of(optarg);
    if (option == 's') options.seconds = strtod(optarg, NULL);
    if (option == 'i') options.n_idle = number_of(optarg);
    if (option == '?') exit(EXIT_FAILURE);
  }
  if (optind + 1 != argc) fail("which port?");
  relay_address.sin_port = htons((uint16_t)number_of(argv[optind]));
  relay_address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (options.frame_bytes > TT_MAX_FRAME_BYTES || options.in_flight == 0) fail("no such frames");
}

static void open_all(void) {
  n_peers = 2 * options.n_pairs + options.n_idle;
  peers = need(tt_alloc(n_peers, sizeof *peers));
  pairs = need(tt_alloc(options.n_pairs, sizeof *pairs));
  while (n_ready < n_peers) {
    while (n_opened < n_peers && n_opened - n_ready < OPENING_AT_ONCE) {
      open_peer(&peers[n_opened], n_opened);
      n_opened++;
    }
    pass(1000);
  }
  uint8_t header[16];
  wire_bytes = write_header(header, BINARY, options.frame_bytes) + options.frame_bytes;
  n_places = options.in_flight * wire_bytes <= RING_BYTES ? options.in_flight : 1;
  for (size_t i = 0; i < options.n_pairs; i++) {
    pairs[i].from = &peers[2 * i];
    peers[2 * i + 1].receives = &pairs[i];
    make_ring(&pairs[i], peers[2 * i + 1].id);
  }
  printf("{\"ready\": %zu}\n", n_peers);
  fflush(stdout);
}

static uint64_t run_for(double seconds) {
  uint64_t before = 0, after = 0;
  for (size_t i = 0; i < options.n_pairs; i++) before += pairs[i].n_arrived;
  for (double end = seconds_of(CLOCK_MONOTONIC) + seconds; seconds_of(CLOCK_MONOTONIC) < end;) {
    for (size_t i = 0; i < options.n_pairs; i++) send_more(&pairs[i]);
    pass(100);
  }
  for (size_t i = 0; i < options.n_pairs; i++) after += pairs[i].n_arrived;
  return after - before;
}

int main(int argc, char **argv) {
  read_options(argc, argv);
  struct rlimit limit;
  getrlimit(RLIMIT_NOFILE, &limit);
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_NOFILE, &limit);
  events_fd = epoll_create1(EPOLL_CLOEXEC);
  open_all();
  if (options.n_pairs == 0) {
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = NULL};
    epoll_ctl(events_fd, EPOLL_CTL_ADD, STDIN_FILENO, &event);
    for (;;) {
      epoll_wait(events_fd, &event, 1, -1);
      if (event.data.ptr == NULL) return EXIT_SUCCESS;
      on_readable(event.data.ptr);
    }
  }
  run_for(WARM_UP_SECONDS);
  double begin = seconds_of(CLOCK_MONOTONIC), used = seconds_of(CLOCK_PROCESS_CPUTIME_ID);
  uint64_t n_frames = run_for(options.seconds);
  double seconds = seconds_of(CLOCK_MONOTONIC) - begin;
  used = seconds_of(CLOCK_PROCESS_CPUTIME_ID) - used;
  printf("{\"frames\": %llu, \"bytes\": %llu, \"seconds\": %.3f, \"busy\": %.2f}\n", (unsigned long long)n_frames,
         (unsigned long long)n_frames * options.frame_bytes, seconds, used / seconds);
  return EXIT_SUCCESS;
}
