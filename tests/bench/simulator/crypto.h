// What USM needs here (RFC 3414, RFC 3826, RFC 7860): HMAC-SHA-256 cut to 192 bits, AES-128 in CFB mode.
#pragma once
#include <stddef.h>
#include <stdint.h>

enum { DIGEST = 32, MAC = 24, BLOCK = 16 };

typedef struct {
  uint32_t state[8];
  uint64_t length;
  uint8_t waiting[64];
} sha256;

typedef struct {
  sha256 inner, outer;
} hmac_key;

typedef struct {
  uint32_t rounds[44];
} aes_key;

void sha256_start(sha256 *hash);
void sha256_more(sha256 *hash, const void *data, size_t length);
void sha256_end(sha256 *hash, uint8_t digest[DIGEST]);

// Passphrase to key, then to the key of one engine (RFC 3414 section 2.6).
void key_of_passphrase(const char *passphrase, uint8_t key[DIGEST]);
void localised(const uint8_t key[DIGEST], const uint8_t *engine, size_t length, uint8_t local[DIGEST]);

void hmac_key_set(hmac_key *key, const uint8_t secret[DIGEST]);
void hmac(const hmac_key *key, const void *data, size_t length, uint8_t digest[DIGEST]);

void aes_start(void);
void aes_key_set(aes_key *key, const uint8_t secret[BLOCK]);
void aes_cfb(const aes_key *key, const uint8_t iv[BLOCK], uint8_t *data, size_t length, int decrypt);
