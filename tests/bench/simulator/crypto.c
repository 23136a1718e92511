// SHA-256 (FIPS 180-4), HMAC (RFC 2104), AES-128 encryption (FIPS 197), CFB-128 (SP 800-38A).
#include "crypto.h"

#include <string.h>

static const uint32_t K[64] = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2};

static uint32_t right(uint32_t x, int by) { return x >> by | x << (32 - by); }

static uint32_t read32(const uint8_t *p) {
  return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static void write32(uint8_t *p, uint32_t x) {
  p[0] = x >> 24, p[1] = x >> 16, p[2] = x >> 8, p[3] = x;
}

static void compress(uint32_t state[8], const uint8_t *block) {
  uint32_t w[64], s[8];
  for (int i = 0; i < 16; i++) w[i] = read32(block + 4 * i);
  for (int i = 16; i < 64; i++) {
    uint32_t a = w[i - 15], b = w[i - 2];
    w[i] = w[i - 16] + w[i - 7] + (right(a, 7) ^ right(a, 18) ^ a >> 3) + (right(b, 17) ^ right(b, 19) ^ b >> 10);
  }
  memcpy(s, state, sizeof s);
  for (int i = 0; i < 64; i++) {
    uint32_t a = s[0], e = s[4];
    uint32_t t = s[7] + (right(e, 6) ^ right(e, 11) ^ right(e, 25)) + ((e & s[5]) ^ (~e & s[6])) + K[i] + w[i];
    uint32_t u = (right(a, 2) ^ right(a, 13) ^ right(a, 22)) + ((a & s[1]) ^ (a & s[2]) ^ (s[1] & s[2]));
    memmove(s + 1, s, 7 * sizeof *s);
    s[4] += t, s[0] = t + u;
  }
  for (int i = 0; i < 8; i++) state[i] += s[i];
}

void sha256_start(sha256 *hash) {
  static const uint32_t first[8] = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
                                    0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};
  memcpy(hash->state, first, sizeof first);
  hash->length = 0;
}

void sha256_more(sha256 *hash, const void *data, size_t length) {
  const uint8_t *p = data;
  size_t have = hash->length % 64;
  hash->length += length;
  if (have) {
    size_t fits = 64 - have < length ? 64 - have : length;
    memcpy(hash->waiting + have, p, fits);
    p += fits, length -= fits;
    if (have + fits < 64) return;
    compress(hash->state, hash->waiting);
  }
  for (; length >= 64; p += 64, length -= 64) compress(hash->state, p);
  memcpy(hash->waiting, p, length);
}

void sha256_end(sha256 *hash, uint8_t digest[DIGEST]) {
  uint64_t bits = hash->length * 8;
  uint8_t tail[72] = {0x80};
  size_t zeros = 55 < hash->length % 64 ? 119 - hash->length % 64 : 55 - hash->length % 64;
  for (int i = 0; i < 8; i++) tail[1 + zeros + i] = bits >> (56 - 8 * i);
  sha256_more(hash, tail, zeros + 9);
  for (int i = 0; i < 8; i++) write32(digest + 4 * i, hash->state[i]);
}

void key_of_passphrase(const char *passphrase, uint8_t key[DIGEST]) {
  sha256 hash;
  uint8_t chunk[64];
  size_t length = strlen(passphrase), at = 0;
  sha256_start(&hash);
  for (int done = 0; done < 1 << 20; done += 64) {
    for (int i = 0; i < 64; i++) chunk[i] = passphrase[at++ % length];
    sha256_more(&hash, chunk, 64);
  }
  sha256_end(&hash, key);
}

void localised(const uint8_t key[DIGEST], const uint8_t *engine, size_t length, uint8_t local[DIGEST]) {
  sha256 hash;
  sha256_start(&hash);
  sha256_more(&hash, key, DIGEST);
  sha256_more(&hash, engine, length);
  sha256_more(&hash, key, DIGEST);
  sha256_end(&hash, local);
}

static void padded(sha256 *hash, const uint8_t secret[DIGEST], uint8_t pad) {
  uint8_t block[64];
  for (int i = 0; i < 64; i++) block[i] = (i < DIGEST ? secret[i] : 0) ^ pad;
  sha256_start(hash);
  sha256_more(hash, block, 64);
}

void hmac_key_set(hmac_key *key, const uint8_t secret[DIGEST]) {
  padded(&key->inner, secret, 0x36);
  padded(&key->outer, secret, 0x5c);
}

void hmac(const hmac_key *key, const void *data, size_t length, uint8_t digest[DIGEST]) {
  sha256 hash = key->inner;
  sha256_more(&hash, data, length);
  sha256_end(&hash, digest);
  hash = key->outer;
  sha256_more(&hash, digest, DIGEST);
  sha256_end(&hash, digest);
}

static uint8_t S[256];
static uint32_t T[256];

static uint8_t doubled(uint8_t x) { return x << 1 ^ (x & 0x80 ? 0x1b : 0); }

void aes_start(void) {
  uint8_t power[256], log[256] = {0};
  uint8_t x = 1;
  for (int i = 0; i < 255; i++) power[i] = x, log[x] = i, x ^= doubled(x);
  for (int i = 0; i < 256; i++) {
    uint8_t inverse = i ? power[(255 - log[i]) % 255] : 0, s = 0x63;
    for (int turn = 0; turn < 5; turn++) s ^= inverse << turn | inverse >> (8 - turn);
    S[i] = s;
    uint8_t two = doubled(s);
    T[i] = (uint32_t)two << 24 | (uint32_t)s << 16 | (uint32_t)s << 8 | (uint8_t)(two ^ s);
  }
}

static uint32_t substituted(uint32_t x) {
  return (uint32_t)S[x >> 24] << 24 | (uint32_t)S[x >> 16 & 255] << 16 | (uint32_t)S[x >> 8 & 255] << 8 | S[x & 255];
}

void aes_key_set(aes_key *key, const uint8_t secret[BLOCK]) {
  uint32_t *w = key->rounds;
  uint8_t constant = 1;
  for (int i = 0; i < 4; i++) w[i] = read32(secret + 4 * i);
  for (int i = 4; i < 44; i++) {
    uint32_t t = w[i - 1];
    if (i % 4 == 0) {
      t = substituted(t << 8 | t >> 24) ^ (uint32_t)constant << 24;
      constant = doubled(constant);
    }
    w[i] = w[i - 4] ^ t;
  }
}

static void encrypted(const aes_key *key, const uint8_t in[BLOCK], uint8_t out[BLOCK]) {
  const uint32_t *w = key->rounds;
  uint32_t s[4], t[4];
  for (int i = 0; i < 4; i++) s[i] = read32(in + 4 * i) ^ *w++;
  for (int round = 1; round < 10; round++) {
    for (int i = 0; i < 4; i++) {
      uint32_t a = s[i], b = s[(i + 1) & 3], c = s[(i + 2) & 3], d = s[(i + 3) & 3];
      t[i] = T[a >> 24] ^ right(T[b >> 16 & 255], 8) ^ right(T[c >> 8 & 255], 16) ^ right(T[d & 255], 24) ^ *w++;
    }
    memcpy(s, t, sizeof s);
  }
  for (int i = 0; i < 4; i++) {
    uint32_t a = s[i], b = s[(i + 1) & 3], c = s[(i + 2) & 3], d = s[(i + 3) & 3];
    write32(out + 4 * i, substituted((a & 0xff000000) | (b & 0xff0000) | (c & 0xff00) | (d & 0xff)) ^ *w++);
  }
}

void aes_cfb(const aes_key *key, const uint8_t iv[BLOCK], uint8_t *data, size_t length, int decrypt) {
  uint8_t last[BLOCK], stream[BLOCK];
  memcpy(last, iv, BLOCK);
  for (size_t at = 0; at < length; at += BLOCK) {
    size_t part = length - at < BLOCK ? length - at : BLOCK;
    encrypted(key, last, stream);
    if (decrypt) memcpy(last, data + at, part);
    for (size_t i = 0; i < part; i++) data[at + i] ^= stream[i];
    if (!decrypt) memcpy(last, data + at, part);
  }
}
