// What an agent has: objects in order, their values fixed (a recording) or following from device, row and time.
#pragma once
#include <stddef.h>
#include <stdint.h>

enum { ARCS = 128, VALUE = 64 };

typedef struct {
  const uint32_t *arcs;  // the object identifier in numbers
  const uint8_t *oid;    // and as BER contents
  const uint8_t *fixed;  // the value's TLV; NULL: it is computed
  uint32_t fixed_length;
  uint16_t count, oid_length;
  uint16_t column, row;
} object;

typedef struct {
  object *objects;
  uint32_t count;
} table;

// Objects of the system group and of IF-MIB columns (comma-separated object identifiers; empty = all known).
void table_of_interfaces(table *made, int interfaces, const char *columns);
// A pre-encoded recording (recordings.py), sorted; exits with a message where it can't be read.
void table_of_recording(table *made, const char *path);
// The first object after the identifier.
uint32_t table_after(const table *known, const uint32_t *arcs, int count);
// The object with exactly this identifier, or `count`.
uint32_t table_exact(const table *known, const uint32_t *arcs, int count);
// Its value's TLV, for a device at a time (hundredths of a second since the start): the length.
// `room` holds what had to be computed.
size_t table_value(const object *what, uint32_t device, uint64_t hundredths, uint8_t room[VALUE], const uint8_t **value);
