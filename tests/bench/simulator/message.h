// One request in, at most one response out: SNMP v1 (RFC 1157), v2c (RFC 3416), v3 with USM (RFC 3412, RFC 3414).
#pragma once
#include "crypto.h"
#include "table.h"

enum { LARGEST = 65507, ENGINE = 12 };

typedef struct {
  const table *objects;
  const char *community, *user;
  uint8_t auth[DIGEST], privacy[DIGEST];  // keys of the passphrases, not yet localised
  uint32_t devices, boots;
  size_t largest;                         // octets of a message
  struct device_keys *keys;               // by device, made when first needed
} agents;

void agents_start(agents *all, const char *auth, const char *privacy);
// The length of the response, 0 where there is none. `hundredths` since the start.
size_t answered(agents *all, uint32_t device, uint64_t hundredths, const uint8_t *request, size_t length,
                uint8_t response[LARGEST]);
