#include "message.h"

#include <stdlib.h>
#include <string.h>

enum { INTEGER = 0x02, OCTETS = 0x04, NOTHING = 0x05, IDENTIFIER = 0x06, SEQUENCE = 0x30 };
enum { GET = 0xa0, GETNEXT = 0xa1, RESPONSE = 0xa2, GETBULK = 0xa5, REPORT = 0xa8 };
enum { NO_ERROR, TOO_BIG, NO_SUCH_NAME };
enum { MOST = 512, ROOM = 66000, AUTHENTICATED = 1, ENCRYPTED = 2, REPORTABLE = 4, WINDOW = 150 };
enum { UNSUPPORTED_LEVEL = 1, NOT_IN_WINDOW, UNKNOWN_USER, UNKNOWN_ENGINE, WRONG_DIGEST, UNDECRYPTABLE };
static const uint8_t NO_INSTANCE[] = {0x81, 0}, END_OF_VIEW[] = {0x82, 0};

struct device_keys {
  int ready;
  hmac_key auth;
  aes_key privacy;
};

typedef struct {
  const uint8_t *at, *end;
  int broken;
} reader;

typedef struct {
  const uint8_t *start;
  size_t length;
} octets;

typedef struct {
  int version, kind;
  int32_t id, first, second;  // request-id, then error-status and -index or non-repeaters and max-repetitions
  int count;
  uint32_t arcs[MOST][ARCS];
  int lengths[MOST];
  octets oids[MOST];
} pdu;

typedef struct {
  int32_t id, size;
  uint8_t flags;
  octets engine, user, mac, salt;
  int32_t boots, time;
  octets data;
} secured;

typedef struct {
  uint8_t bytes[ROOM];
  size_t used, most;
} varbinds;

static octets take(reader *in, int tag) {
  octets got = {in->at, 0};
  if (in->broken || in->end - in->at < 2 || *in->at != tag) return in->broken = 1, got;
  size_t length = in->at[1];
  in->at += 2;
  if (length & 128) {
    int more = length & 127;
    if (more > 3 || in->end - in->at < more) return in->broken = 1, got;
    for (length = 0; more; more--) length = length << 8 | *in->at++;
  }
  if ((size_t)(in->end - in->at) < length) return in->broken = 1, got;
  got = (octets){in->at, length};
  in->at += length;
  return got;
}

static reader inside(octets what) { return (reader){what.start, what.start + what.length, 0}; }

static int32_t take_integer(reader *in) {
  octets got = take(in, INTEGER);
  if (in->broken || !got.length || got.length > 5) return in->broken = 1, 0;
  int64_t value = (int8_t)*got.start;
  for (size_t i = 1; i < got.length; i++) value = value * 256 + got.start[i];
  return value;
}

static size_t header(uint8_t *out, uint8_t tag, size_t length) {
  out[0] = tag;
  if (length < 128) return out[1] = length, 2;
  if (length < 256) return out[1] = 0x81, out[2] = length, 3;
  return out[1] = 0x82, out[2] = length >> 8, out[3] = length, 4;
}

static size_t put(uint8_t *out, uint8_t tag, const void *contents, size_t length) {
  size_t head = header(out, tag, length);
  memmove(out + head, contents, length);
  return head + length;
}

static size_t put_integer(uint8_t *out, int32_t value) {
  int octets = 1;
  while (octets < 4 && value >> (8 * octets - 1) != 0 && value >> (8 * octets - 1) != -1) octets++;
  out[0] = INTEGER, out[1] = octets;
  for (int i = 0; i < octets; i++) out[2 + i] = value >> (8 * (octets - 1 - i));
  return 2 + octets;
}

// Put `tag` and the length of what already stands at out + 4 in front of it; the whole stands at `out` then.
static size_t wrapped(uint8_t *out, uint8_t tag, size_t length) {
  uint8_t head[4];
  size_t size = header(head, tag, length);
  memmove(out + size, out + 4, length);
  memcpy(out, head, size);
  return size + length;
}

static int arcs_of(octets oid, uint32_t arcs[ARCS]) {
  int n = 0;
  for (size_t at = 0; at < oid.length;) {
    uint64_t arc = 0;
    do arc = arc << 7 | (oid.start[at] & 127);
    while (oid.start[at++] & 128 && at < oid.length && arc < 1ull << 32);
    if (n + 2 > ARCS || arc >= 1ull << 32) return -1;
    if (n) {
      arcs[n++] = arc;
    } else {
      arcs[n++] = arc < 80 ? arc / 40 : 2;
      arcs[n++] = arc < 80 ? arc % 40 : arc - 80;
    }
  }
  return n;
}

static int read_pdu(reader *in, pdu *got) {
  if (in->broken || in->at >= in->end) return 0;
  got->kind = *in->at;
  reader body = inside(take(in, got->kind));
  got->id = take_integer(&body), got->first = take_integer(&body), got->second = take_integer(&body);
  reader list = inside(take(&body, SEQUENCE));
  if (in->broken || body.broken) return 0;
  for (got->count = 0; list.at < list.end && got->count < MOST; got->count++) {
    reader pair = inside(take(&list, SEQUENCE));
    octets oid = got->oids[got->count] = take(&pair, IDENTIFIER);
    if (list.broken || pair.broken) return 0;
    if ((got->lengths[got->count] = arcs_of(oid, got->arcs[got->count])) < 0) return 0;
  }
  return got->kind == GET || got->kind == GETNEXT || got->kind == GETBULK;
}

static int add(varbinds *list, const uint8_t *oid, size_t oid_length, const uint8_t *value, size_t length) {
  size_t inner = oid_length + length + (oid_length < 128 ? 2 : oid_length < 256 ? 3 : 4);
  size_t total = inner + (inner < 128 ? 2 : inner < 256 ? 3 : 4);
  if (list->used + total > list->most) return 0;
  uint8_t *out = list->bytes + list->used;
  out += header(out, SEQUENCE, inner);
  out += put(out, IDENTIFIER, oid, oid_length);
  memcpy(out, value, length);
  list->used += total;
  return 1;
}

typedef struct {
  const table *objects;
  uint32_t device;
  uint64_t hundredths;
} view;

static int add_object(varbinds *list, const view *seen, uint32_t which) {
  const object *what = &seen->objects->objects[which];
  uint8_t room[VALUE];
  const uint8_t *value;
  size_t length = table_value(what, seen->device, seen->hundredths, room, &value);
  return add(list, what->oid, what->oid_length, value, length);
}

static int add_marker(varbinds *list, const pdu *asked, int which, const uint8_t marker[2]) {
  return add(list, asked->oids[which].start, asked->oids[which].length, marker, 2);
}

// GET and GETNEXT: all or nothing. The error-status; `index` is that of the varbind to blame.
static int single(const pdu *asked, const view *seen, varbinds *list, int *index) {
  for (int i = 0; i < asked->count; i++) {
    const table *known = seen->objects;
    uint32_t which = asked->kind == GET ? table_exact(known, asked->arcs[i], asked->lengths[i])
                                        : table_after(known, asked->arcs[i], asked->lengths[i]);
    *index = i + 1;
    if (which == known->count && asked->version == 0) return NO_SUCH_NAME;
    int fits = which < known->count ? add_object(list, seen, which)
                                    : add_marker(list, asked, i, asked->kind == GET ? NO_INSTANCE : END_OF_VIEW);
    if (!fits) return *index = 0, TOO_BIG;
  }
  return NO_ERROR;
}

// RFC 3416 section 4.2.3: as many whole rows of repetitions as asked for, cut where the message is full.
static int bulk(const pdu *asked, const view *seen, varbinds *list) {
  static uint32_t next[MOST];
  const table *known = seen->objects;
  int single_ones = asked->first < 0 ? 0 : asked->first < asked->count ? asked->first : asked->count;
  for (int i = 0; i < asked->count; i++) next[i] = table_after(known, asked->arcs[i], asked->lengths[i]);
  for (int i = 0; i < single_ones; i++) {
    int fits = next[i] < known->count ? add_object(list, seen, next[i]) : add_marker(list, asked, i, END_OF_VIEW);
    if (!fits) return list->used ? NO_ERROR : TOO_BIG;
  }
  for (int repetition = 0; repetition < asked->second; repetition++) {
    int alive = 0;
    for (int i = single_ones; i < asked->count; i++) {
      const object *last = &known->objects[known->count - 1];
      int here = next[i] < known->count;
      int fits = here ? add_object(list, seen, next[i]++)
               : repetition ? add(list, last->oid, last->oid_length, END_OF_VIEW, 2)
                            : add_marker(list, asked, i, END_OF_VIEW);
      if (!fits) return list->used ? NO_ERROR : TOO_BIG;
      alive |= here;
    }
    if (!alive) break;
  }
  return NO_ERROR;
}

static size_t put_pdu(uint8_t *out, uint8_t kind, int32_t id, int status, int index, const uint8_t *list, size_t length) {
  uint8_t *body = out + 4;
  size_t used = put_integer(body, id);
  used += put_integer(body + used, status);
  used += put_integer(body + used, index);
  used += put(body + used, SEQUENCE, list, length);
  return wrapped(out, kind, used);
}

// The response PDU; `spare` octets of the message are needed for what stands around the varbinds.
static size_t respond(const pdu *asked, const view *seen, size_t largest, size_t spare, uint8_t *out) {
  static varbinds list;
  int index = 0;
  list.used = 0, list.most = largest > spare ? largest - spare : 0;
  int status = asked->kind == GETBULK ? bulk(asked, seen, &list) : single(asked, seen, &list, &index);
  if (status) {
    list.used = 0, list.most = status == TOO_BIG ? 0 : ROOM - 100;
    static const uint8_t nothing[2] = {NOTHING, 0};
    for (int i = 0; status != TOO_BIG && i < asked->count; i++) add_marker(&list, asked, i, nothing);
  }
  return put_pdu(out, RESPONSE, asked->id, status, index, list.bytes, list.used);
}

static size_t by_community(agents *all, const view *seen, int version, reader *in, uint8_t *out) {
  static pdu asked;
  octets community = take(in, OCTETS);
  if (in->broken || community.length != strlen(all->community)) return 0;
  if (memcmp(community.start, all->community, community.length)) return 0;
  asked.version = version;
  if (!read_pdu(in, &asked) || (version == 0 && asked.kind == GETBULK)) return 0;
  uint8_t *body = out + 4;
  size_t used = put_integer(body, version);
  used += put(body + used, OCTETS, community.start, community.length);
  used += respond(&asked, seen, all->largest, community.length + 40, body + used);
  return wrapped(out, SEQUENCE, used);
}

// RFC 3411 SnmpEngineID: net-snmp's enterprise number, administratively assigned text.
static void engine_of(uint32_t device, uint8_t engine[ENGINE]) {
  const uint8_t made[ENGINE] = {0x80, 0, 0x1f, 0x88, 4, 't', 'w', 'i', 'n', device >> 16, device >> 8, device};
  memcpy(engine, made, ENGINE);
}

static struct device_keys *keys_of(agents *all, uint32_t device) {
  struct device_keys *keys = &all->keys[device];
  if (keys->ready) return keys;
  uint8_t engine[ENGINE], local[DIGEST];
  engine_of(device, engine);
  localised(all->auth, engine, ENGINE, local);
  hmac_key_set(&keys->auth, local);
  localised(all->privacy, engine, ENGINE, local);
  aes_key_set(&keys->privacy, local);
  keys->ready = 1;
  return keys;
}

static int read_secured(reader *in, secured *got) {
  reader global = inside(take(in, SEQUENCE));
  got->id = take_integer(&global), got->size = take_integer(&global);
  octets flags = take(&global, OCTETS);
  int model = take_integer(&global);
  reader wrapper = inside(take(in, OCTETS));
  reader usm = inside(take(&wrapper, SEQUENCE));
  got->engine = take(&usm, OCTETS), got->boots = take_integer(&usm), got->time = take_integer(&usm);
  got->user = take(&usm, OCTETS), got->mac = take(&usm, OCTETS), got->salt = take(&usm, OCTETS);
  got->data = (octets){in->at, in->end - in->at};
  if (in->broken || global.broken || wrapper.broken || usm.broken || flags.length != 1 || model != 3) return 0;
  got->flags = *flags.start;
  return 1;
}

static void initialisation(int32_t boots, int32_t time, const uint8_t salt[8], uint8_t iv[BLOCK]) {
  for (int i = 0; i < 4; i++) iv[i] = boots >> (24 - 8 * i), iv[4 + i] = time >> (24 - 8 * i);
  memcpy(iv + 8, salt, 8);
}

static int digest_is_right(agents *all, uint32_t device, const secured *got, const uint8_t *request, size_t length) {
  static uint8_t copy[ROOM];
  uint8_t digest[DIGEST];
  if (got->mac.length != MAC) return 0;
  memcpy(copy, request, length);
  memset(copy + (got->mac.start - request), 0, MAC);
  hmac(&keys_of(all, device)->auth, copy, length, digest);
  return !memcmp(digest, got->mac.start, MAC);
}

// A v3 message around the scoped PDU that stands at `scoped` (as much room behind it as needed).
static size_t secure(agents *all, const view *seen, const secured *got, int flags, octets user, uint8_t *scoped,
                     size_t length, uint8_t *out) {
  static uint64_t salts = 1;
  static const uint8_t zeros[MAC];
  uint8_t engine[ENGINE], salt[8], iv[BLOCK], flag = flags, digest[DIGEST], usm[160];
  int32_t time = seen->hundredths / 100;
  engine_of(seen->device, engine);
  for (int i = 0; i < 8; i++) salt[i] = salts >> (56 - 8 * i);
  salts++;
  size_t inner = put(usm + 4, OCTETS, engine, ENGINE);
  inner += put_integer(usm + 4 + inner, all->boots);
  inner += put_integer(usm + 4 + inner, time);
  inner += put(usm + 4 + inner, OCTETS, user.start, user.length);
  inner += put(usm + 4 + inner, OCTETS, zeros, flags & AUTHENTICATED ? MAC : 0);
  size_t mac_ends = inner;
  inner += put(usm + 4 + inner, OCTETS, salt, flags & ENCRYPTED ? 8 : 0);
  size_t security = wrapped(usm, SEQUENCE, inner), from_end = inner - mac_ends;
  uint8_t *body = out + 4, *global;
  size_t used = put_integer(body, 3);
  global = body + used + 4;
  size_t filled = put_integer(global, got->id);
  filled += put_integer(global + filled, LARGEST);
  filled += put(global + filled, OCTETS, &flag, 1);
  filled += put_integer(global + filled, 3);
  used += wrapped(body + used, SEQUENCE, filled);
  used += put(body + used, OCTETS, usm, security);
  size_t mac_at = used - from_end - MAC;
  if (flags & ENCRYPTED) {
    initialisation(all->boots, time, salt, iv);
    aes_cfb(&keys_of(all, seen->device)->privacy, iv, scoped, length, 0);
    used += put(body + used, OCTETS, scoped, length);
  } else {
    memcpy(body + used, scoped, length);
    used += length;
  }
  size_t total = wrapped(out, SEQUENCE, used);
  if (flags & AUTHENTICATED) {
    hmac(&keys_of(all, seen->device)->auth, out, total, digest);
    memcpy(out + (total - used) + mac_at, digest, MAC);
  }
  return total;
}

static size_t scope(uint32_t device, uint8_t *out, size_t length) {
  uint8_t engine[ENGINE], front[20];
  engine_of(device, engine);
  size_t used = put(front, OCTETS, engine, ENGINE);
  used += put(front + used, OCTETS, "", 0);
  memmove(out + 4 + used, out, length);
  memcpy(out + 4, front, used);
  return wrapped(out, SEQUENCE, used + length);
}

// usmStats (RFC 3414 section 5): why a message was not accepted.
static size_t report(agents *all, const view *seen, const secured *got, int why, uint8_t *out) {
  static uint8_t scoped[512];
  const uint8_t oid[] = {0x2b, 6, 1, 6, 3, 15, 1, 1, why, 0};
  const uint8_t counter[] = {0x41, 1, 1};
  varbinds list = {.used = 0, .most = 100};
  if (!(got->flags & REPORTABLE)) return 0;
  add(&list, oid, sizeof oid, counter, sizeof counter);
  size_t length = scope(seen->device, scoped, put_pdu(scoped, REPORT, 0, 0, 0, list.bytes, list.used));
  int known = why == NOT_IN_WINDOW;
  octets user = known ? got->user : (octets){got->user.start, 0};
  return secure(all, seen, got, known ? AUTHENTICATED : 0, user, scoped, length, out);
}

static int in_window(const agents *all, const view *seen, const secured *got) {
  int64_t apart = (int64_t)got->time - (int64_t)(seen->hundredths / 100);
  return got->boots == (int32_t)all->boots && apart <= WINDOW && apart >= -WINDOW;
}

// RFC 3414 section 3.2: what is wrong with the message, 0 if nothing.
static int refusal(agents *all, const view *seen, const secured *got, const uint8_t *request, size_t length) {
  uint8_t engine[ENGINE];
  engine_of(seen->device, engine);
  if (got->engine.length != ENGINE || memcmp(got->engine.start, engine, ENGINE)) return UNKNOWN_ENGINE;
  if (got->user.length != strlen(all->user) || memcmp(got->user.start, all->user, got->user.length)) return UNKNOWN_USER;
  if ((got->flags & (AUTHENTICATED | ENCRYPTED)) != (AUTHENTICATED | ENCRYPTED)) return UNSUPPORTED_LEVEL;
  if (!digest_is_right(all, seen->device, got, request, length)) return WRONG_DIGEST;
  return in_window(all, seen, got) ? 0 : NOT_IN_WINDOW;
}

static size_t by_user(agents *all, const view *seen, const uint8_t *request, size_t length, reader *in, uint8_t *out) {
  static uint8_t plain[ROOM], scoped[ROOM + 200];
  static pdu asked;
  secured got;
  if (!read_secured(in, &got)) return 0;
  int why = refusal(all, seen, &got, request, length);
  if (why) return report(all, seen, &got, why, out);
  reader data = inside(got.data);
  octets hidden = take(&data, OCTETS);
  if (data.broken || got.salt.length != 8) return report(all, seen, &got, UNDECRYPTABLE, out);
  uint8_t iv[BLOCK];
  memcpy(plain, hidden.start, hidden.length);
  initialisation(got.boots, got.time, got.salt.start, iv);
  aes_cfb(&keys_of(all, seen->device)->privacy, iv, plain, hidden.length, 1);
  reader whole = {plain, plain + hidden.length, 0};
  reader inner = inside(take(&whole, SEQUENCE));
  take(&inner, OCTETS), take(&inner, OCTETS);
  asked.version = 3;
  if (whole.broken || inner.broken || !read_pdu(&inner, &asked)) return report(all, seen, &got, UNDECRYPTABLE, out);
  size_t largest = got.size > 484 && (size_t)got.size < all->largest ? (size_t)got.size : all->largest;
  size_t pdu_length = respond(&asked, seen, largest, 180, scoped);
  return secure(all, seen, &got, AUTHENTICATED | ENCRYPTED, got.user, scoped, scope(seen->device, scoped, pdu_length), out);
}

void agents_start(agents *all, const char *auth, const char *privacy) {
  aes_start();
  key_of_passphrase(auth, all->auth);
  key_of_passphrase(privacy, all->privacy);
  all->keys = calloc(all->devices, sizeof *all->keys);
}

size_t answered(agents *all, uint32_t device, uint64_t hundredths, const uint8_t *request, size_t length,
                uint8_t response[LARGEST]) {
  view seen = {all->objects, device, hundredths};
  reader in = {request, request + length, 0};
  reader message = inside(take(&in, SEQUENCE));
  if (in.broken) return 0;
  int version = take_integer(&message);
  if (message.broken) return 0;
  if (version == 0 || version == 1) return by_community(all, &seen, version, &message, response);
  return version == 3 ? by_user(all, &seen, request, length, &message, response) : 0;
}
