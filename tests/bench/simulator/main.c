// Simulated SNMP agents on loopback: device n answers at 127.1.0.1 + n, all on one port.
//
// A line on standard input asks for the counters so far (one JSON line); its end ends the process.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "message.h"

enum { BATCH = 64, REQUEST = 2048, FIRST = 0x7f010001, SECOND = 1000000000 };

typedef struct pending {
  struct pending *next;
  int64_t due;
  struct sockaddr_in peer;
  uint32_t device;
  size_t length;
  uint8_t request[];
} pending;

typedef struct {
  uint64_t requests, responses, lost, unanswered, unsent;
} counts;

static agents all = {.community = "public", .user = "twin", .devices = 1, .boots = 1, .largest = 1472};
static counts told;
static int64_t began, delay;
static double loss;
static pending *oldest, **newest = &oldest;

static int64_t now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (int64_t)t.tv_sec * SECOND + t.tv_nsec;
}

static int is_lost(void) {
  static uint64_t state = 88172645463325252ull;
  state ^= state << 13, state ^= state >> 7, state ^= state << 17;
  return (state >> 11) * 0x1p-53 < loss;
}

static void tell(void) {
  struct rusage used;
  getrusage(RUSAGE_SELF, &used);
  double user = used.ru_utime.tv_sec + used.ru_utime.tv_usec / 1e6, system = used.ru_stime.tv_sec + used.ru_stime.tv_usec / 1e6;
  printf("{\"cpu_s\": %.3f, \"user_s\": %.3f, \"rss_mb\": %ld, \"hundredths\": %lld, \"requests\": %llu, \"responses\": %llu, "
         "\"lost\": %llu, \"unanswered\": %llu, \"unsent\": %llu}\n",
         user + system, user, used.ru_maxrss / 1024, (long long)((now() - began) / (SECOND / 100)),
         (unsigned long long)told.requests, (unsigned long long)told.responses, (unsigned long long)told.lost,
         (unsigned long long)told.unanswered, (unsigned long long)told.unsent);
  fflush(stdout);
}

static int listening(int port) {
  int sock = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), on = 1, room = 256 << 20;
  struct sockaddr_in here = {.sin_family = AF_INET, .sin_port = htons(port)};
  if (setsockopt(sock, SOL_SOCKET, SO_BINDTODEVICE, "lo", 3) || setsockopt(sock, IPPROTO_IP, IP_PKTINFO, &on, sizeof on) ||
      bind(sock, (struct sockaddr *)&here, sizeof here)) {
    perror("socket");
    exit(1);
  }
  if (setsockopt(sock, SOL_SOCKET, SO_RCVBUFFORCE, &room, sizeof room)) setsockopt(sock, SOL_SOCKET, SO_RCVBUF, &room, sizeof room);
  if (setsockopt(sock, SOL_SOCKET, SO_SNDBUFFORCE, &room, sizeof room)) setsockopt(sock, SOL_SOCKET, SO_SNDBUF, &room, sizeof room);
  return sock;
}

static int port_of(int sock) {
  struct sockaddr_in here;
  socklen_t size = sizeof here;
  getsockname(sock, (struct sockaddr *)&here, &size);
  return ntohs(here.sin_port);
}

static uint32_t destination(struct msghdr *message) {
  for (struct cmsghdr *c = CMSG_FIRSTHDR(message); c; c = CMSG_NXTHDR(message, c))
    if (c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_PKTINFO) {
      struct in_pktinfo info;
      memcpy(&info, CMSG_DATA(c), sizeof info);
      return ntohl(info.ipi_addr.s_addr);
    }
  return 0;
}

// Answers leave in batches: `flush` sends what stands ready.
static struct {
  uint8_t bytes[BATCH][LARGEST];
  char control[BATCH][CMSG_SPACE(sizeof(struct in_pktinfo))];
  struct sockaddr_in peers[BATCH];
  struct iovec parts[BATCH];
  struct mmsghdr messages[BATCH];
  int count;
} ready;

static void flush(int sock) {
  for (int sent = 0; sent < ready.count;) {
    int n = sendmmsg(sock, ready.messages + sent, ready.count - sent, 0);
    if (n <= 0 && errno == EINTR) continue;
    if (n <= 0) {
      told.unsent++, sent++;
      continue;
    }
    told.responses += n, sent += n;
  }
  ready.count = 0;
}

static void answer(int sock, const struct sockaddr_in *peer, uint32_t device, const uint8_t *request, size_t length) {
  int i = ready.count;
  size_t size = answered(&all, device, (now() - began) / (SECOND / 100), request, length, ready.bytes[i]);
  if (!size) {
    told.unanswered++;
    return;
  }
  ready.peers[i] = *peer;
  ready.parts[i] = (struct iovec){ready.bytes[i], size};
  struct msghdr *head = &ready.messages[i].msg_hdr;
  *head = (struct msghdr){.msg_name = &ready.peers[i], .msg_namelen = sizeof *peer, .msg_iov = &ready.parts[i],
                          .msg_iovlen = 1, .msg_control = ready.control[i], .msg_controllen = sizeof ready.control[i]};
  struct cmsghdr *c = CMSG_FIRSTHDR(head);
  struct in_pktinfo from = {.ipi_spec_dst.s_addr = htonl(FIRST + device)};
  c->cmsg_level = IPPROTO_IP, c->cmsg_type = IP_PKTINFO, c->cmsg_len = CMSG_LEN(sizeof from);
  memcpy(CMSG_DATA(c), &from, sizeof from);
  if (++ready.count == BATCH) flush(sock);
}

static void later(const struct sockaddr_in *peer, uint32_t device, const uint8_t *request, size_t length) {
  pending *waits = malloc(sizeof *waits + length);
  *waits = (pending){.due = now() + delay, .peer = *peer, .device = device, .length = length};
  memcpy(waits->request, request, length);
  *newest = waits, newest = &waits->next;
}

static void answer_due(int sock) {
  int64_t at = now();
  while (oldest && oldest->due <= at) {
    pending *first = oldest;
    answer(sock, &first->peer, first->device, first->request, first->length);
    if (!(oldest = first->next)) newest = &oldest;
    free(first);
  }
}

static void receive(int sock) {
  static uint8_t bytes[BATCH][REQUEST];
  static char control[BATCH][256];
  static struct sockaddr_in peers[BATCH];
  static struct iovec parts[BATCH];
  static struct mmsghdr messages[BATCH];
  for (int i = 0; i < BATCH; i++) {
    parts[i] = (struct iovec){bytes[i], REQUEST};
    messages[i].msg_hdr = (struct msghdr){.msg_name = &peers[i], .msg_namelen = sizeof peers[i], .msg_iov = &parts[i],
                                          .msg_iovlen = 1, .msg_control = control[i], .msg_controllen = sizeof control[i]};
  }
  int n = recvmmsg(sock, messages, BATCH, 0, NULL);
  for (int i = 0; i < n; i++) {
    uint32_t device = destination(&messages[i].msg_hdr) - FIRST;
    if (device >= all.devices) continue;
    told.requests++;
    if (is_lost()) told.lost++;
    else if (delay) later(&peers[i], device, bytes[i], messages[i].msg_len);
    else answer(sock, &peers[i], device, bytes[i], messages[i].msg_len);
  }
}

static void serve(int sock) {
  struct pollfd watched[2] = {{.fd = sock, .events = POLLIN}, {.fd = 0, .events = POLLIN}};
  for (;;) {
    int64_t wait = oldest ? oldest->due - now() : SECOND;
    struct timespec until = {.tv_sec = wait > 0 ? wait / SECOND : 0, .tv_nsec = wait > 0 ? wait % SECOND : 0};
    ppoll(watched, 2, &until, NULL);
    if (watched[0].revents) receive(sock);
    answer_due(sock);
    flush(sock);
    if (watched[1].revents) {
      char line[256];
      ssize_t n = read(0, line, sizeof line);
      tell();
      if (n <= 0) return;
    }
  }
}

int main(int count, char **words) {
  static const struct option known[] = {
      {"port", 1, 0, 'p'}, {"devices", 1, 0, 'd'}, {"interfaces", 1, 0, 'i'}, {"columns", 1, 0, 'c'}, {"recording", 1, 0, 'r'},
      {"largest", 1, 0, 'm'}, {"delay-ms", 1, 0, 'w'}, {"loss", 1, 0, 'l'}, {"user", 1, 0, 'u'}, {"auth", 1, 0, 'a'},
      {"privacy", 1, 0, 'x'}, {"boots", 1, 0, 'b'}, {0}};
  const char *columns = "", *recording = NULL, *auth = "authpass123", *privacy = "privpass123";
  int port = 0, interfaces = 50, option;
  static table objects;
  while ((option = getopt_long(count, words, "", known, NULL)) != -1) switch (option) {
      case 'p': port = atoi(optarg); break;
      case 'd': all.devices = atoi(optarg); break;
      case 'i': interfaces = atoi(optarg); break;
      case 'c': columns = optarg; break;
      case 'r': recording = optarg; break;
      case 'm': all.largest = atoi(optarg); break;
      case 'w': delay = atof(optarg) * 1e6; break;
      case 'l': loss = atof(optarg); break;
      case 'u': all.user = optarg; break;
      case 'a': auth = optarg; break;
      case 'x': privacy = optarg; break;
      case 'b': all.boots = atoi(optarg); break;
      default: return 2;
    }
  if (all.devices < 1 || all.devices > 16384 || interfaces < 1 || interfaces > 63 || all.largest > LARGEST) {
    fprintf(stderr, "at most 16384 devices of 63 interfaces, messages of 65507 octets\n");
    return 2;
  }
  if (recording) table_of_recording(&objects, recording);
  else table_of_interfaces(&objects, interfaces, columns);
  all.objects = &objects;
  agents_start(&all, auth, privacy);
  int sock = listening(port);
  began = now();
  printf("{\"port\": %d, \"objects\": %u}\n", port_of(sock), objects.count);
  fflush(stdout);
  serve(sock);
  return 0;
}
