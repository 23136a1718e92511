#include "table.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { INTEGER = 0x02, OCTETS = 0x04, IDENTIFIER = 0x06, COUNTER32 = 0x41, GAUGE32 = 0x42, TICKS = 0x43, COUNTER64 = 0x46 };
enum { SYSTEM, IF, IFX };  // 1.3.6.1.2.1.1, ifTable, ifXTable

// Columns are numbered 100 * group + sub-identifier; ifNumber is system object 100.
static const uint32_t PREFIX[3][10] = {{1, 3, 6, 1, 2, 1, 1}, {1, 3, 6, 1, 2, 1, 2, 2, 1}, {1, 3, 6, 1, 2, 1, 31, 1, 1, 1}};
static const int PREFIX_LENGTH[3] = {7, 9, 10};
static int ports;

static int encode_arcs(const uint32_t *arcs, int count, uint8_t *out) {
  int n = 0;
  out[n++] = arcs[0] * 40 + arcs[1];
  for (int i = 2; i < count; i++) {
    int septets = 1;
    while (septets < 5 && arcs[i] >> (7 * septets)) septets++;
    while (septets--) out[n++] = (arcs[i] >> (7 * septets) & 127) | (septets ? 128 : 0);
  }
  return n;
}

static void add(table *made, const uint32_t *arcs, int count, int column, int row) {
  uint32_t *kept = malloc(count * sizeof *kept);
  uint8_t *oid = malloc(5 * count);
  memcpy(kept, arcs, count * sizeof *kept);
  made->objects = realloc(made->objects, (made->count + 1) * sizeof *made->objects);
  made->objects[made->count++] = (object){
      .arcs = kept, .oid = oid, .count = count, .oid_length = encode_arcs(arcs, count, oid), .column = column, .row = row};
}

static int wanted(const char *columns, int group, int column) {
  char name[80] = "", *end = name;
  if (!*columns) return 1;
  for (int i = 0; i < PREFIX_LENGTH[group]; i++) end += sprintf(end, "%u.", PREFIX[group][i]);
  end += sprintf(end, "%d", column);
  for (const char *at = columns; (at = strstr(at, name)); at++) {
    char before = at == columns ? ',' : at[-1], after = at[end - name];
    if (before == ',' && (after == ',' || !after)) return 1;
  }
  return 0;
}

static void add_column(table *made, int group, int column, int interfaces) {
  uint32_t arcs[12];
  int length = PREFIX_LENGTH[group];
  memcpy(arcs, PREFIX[group], length * sizeof *arcs);
  arcs[length] = column;
  for (int row = 1; row <= interfaces; row++) {
    arcs[length + 1] = row;
    add(made, arcs, length + 2, 100 * group + column, row);
  }
}

void table_of_interfaces(table *made, int interfaces, const char *columns) {
  static const int last[3] = {7, 22, 19};
  uint32_t number[9] = {1, 3, 6, 1, 2, 1, 2, 1, 0};
  ports = interfaces;
  for (uint32_t i = 1; i <= 7; i++) {
    uint32_t arcs[9] = {1, 3, 6, 1, 2, 1, 1, i, 0};
    add(made, arcs, 9, i, 0);
  }
  add(made, number, 9, 99, 0);
  for (int group = IF; group <= IFX; group++)
    for (int column = 1; column <= last[group]; column++)
      if (wanted(columns, group, column)) add_column(made, group, column, interfaces);
}

static int decode_arcs(const uint8_t *oid, int length, uint32_t *arcs) {
  int n = 0;
  for (int at = 0; at < length && n < ARCS;) {
    uint32_t arc = 0;
    do arc = arc << 7 | (oid[at] & 127);
    while (oid[at++] & 128 && at < length);
    if (n) {
      arcs[n++] = arc;
    } else {
      arcs[n++] = arc < 80 ? arc / 40 : 2;
      arcs[n++] = arc < 80 ? arc % 40 : arc - 80;
    }
  }
  return n;
}

static int compare(const uint32_t *a, int an, const uint32_t *b, int bn) {
  for (int i = 0; i < an && i < bn; i++)
    if (a[i] != b[i]) return a[i] < b[i] ? -1 : 1;
  return an - bn;
}

static uint8_t *contents(const char *path, size_t *size) {
  FILE *file = fopen(path, "rb");
  if (!file) {
    perror(path);
    exit(2);
  }
  fseek(file, 0, SEEK_END);
  *size = ftell(file);
  rewind(file);
  uint8_t *all = malloc(*size + 1);
  if (fread(all, 1, *size, file) != *size) exit(2);
  fclose(file);
  return all;
}

void table_of_recording(table *made, const char *path) {
  size_t size, room = 0;
  uint8_t *all = contents(path, &size);
  for (size_t at = 0; at + 4 <= size;) {
    uint16_t oid_length = all[at] | all[at + 1] << 8, value_length = all[at + 2] | all[at + 3] << 8;
    uint32_t arcs[ARCS + 1];
    if (at + 4 + oid_length + value_length > size) {
      fprintf(stderr, "%s: cut off at %zu\n", path, at);
      exit(2);
    }
    if (made->count == room) made->objects = realloc(made->objects, (room = room ? 2 * room : 4096) * sizeof *made->objects);
    object *next = &made->objects[made->count++];
    int count = decode_arcs(all + at + 4, oid_length, arcs);
    uint32_t *kept = malloc(count * sizeof *kept);
    memcpy(kept, arcs, count * sizeof *kept);
    *next = (object){.arcs = kept, .oid = all + at + 4, .count = count, .oid_length = oid_length,
                     .fixed = all + at + 4 + oid_length, .fixed_length = value_length};
    at += 4 + oid_length + value_length;
  }
}

uint32_t table_after(const table *known, const uint32_t *arcs, int count) {
  uint32_t low = 0, high = known->count;
  while (low < high) {
    uint32_t middle = (low + high) / 2;
    const object *here = &known->objects[middle];
    if (compare(here->arcs, here->count, arcs, count) <= 0) low = middle + 1;
    else high = middle;
  }
  return low;
}

uint32_t table_exact(const table *known, const uint32_t *arcs, int count) {
  uint32_t after = table_after(known, arcs, count);
  if (!after) return known->count;
  const object *before = &known->objects[after - 1];
  return compare(before->arcs, before->count, arcs, count) ? known->count : after - 1;
}

static size_t number(uint8_t *out, uint8_t tag, uint64_t value) {
  int octets = 1;
  while (octets < 8 && value >> (8 * octets - 1)) octets++;
  int pad = octets == 8 && value >> 63;
  out[0] = tag, out[1] = octets + pad, out[2] = 0;
  for (int i = 0; i < octets; i++) out[2 + pad + i] = value >> (8 * (octets - 1 - i));
  return 2 + pad + octets;
}

static size_t text(uint8_t *out, const char *form, uint32_t number) {
  out[0] = OCTETS;
  out[1] = snprintf((char *)out + 2, VALUE - 2, form, number);
  return 2 + out[1];
}

static size_t address(uint8_t *out, uint32_t device, uint32_t row) {
  const uint8_t made[8] = {OCTETS, 6, 2, 0, device >> 16, device >> 8, device, row};
  memcpy(out, made, sizeof made);
  return sizeof made;
}

// Counters tell where they belong: the key stands in the upper bits, time in the lower 34 (Counter64) or 8 (Counter32).
static uint64_t counter64(uint32_t device, uint32_t row, uint32_t column, uint64_t hundredths) {
  uint64_t key = (uint64_t)device << 12 | row << 6 | column;
  return key << 34 | (hundredths * (100 + row) & ((1ull << 34) - 1));
}

static uint64_t counter32(uint32_t device, uint32_t row, uint32_t column, uint64_t hundredths) {
  uint64_t seconds = hundredths / 100;
  return (device << 10 | row << 4 | column) << 8 | (seconds < 255 ? seconds : 255);
}

static size_t interface_value(const object *what, uint32_t device, uint64_t hundredths, uint8_t *out) {
  uint32_t row = what->row, column = what->column % 100;
  if (what->column < 200) {
    if (column == 9 || column == 21) return number(out, column == 9 ? TICKS : GAUGE32, 0);
    if (column >= 10 && column <= 20) return number(out, COUNTER32, counter32(device, row, column - 10, hundredths));
    switch (column) {
      case 1: return number(out, INTEGER, row);
      case 2: return text(out, "port %u", row);
      case 3: return number(out, INTEGER, 6);
      case 4: return number(out, INTEGER, 1500);
      case 5: return number(out, GAUGE32, 1000000000);
      case 6: return address(out, device, row);
      case 22: return memcpy(out, "\6\1\0", 3), 3;
      default: return number(out, INTEGER, column == 8 && row % 16 == 0 ? 2 : 1);
    }
  }
  if (column >= 2 && column <= 5) return number(out, COUNTER32, counter32(device, row, column + 9, hundredths));
  if (column >= 6 && column <= 13) return number(out, COUNTER64, counter64(device, row, column, hundredths));
  switch (column) {
    case 1: return text(out, "eth%u", row);
    case 15: return number(out, GAUGE32, 1000 * (1 + row % 10));
    case 18: return text(out, "to d%05u", (device + row) % 16384);
    case 19: return number(out, TICKS, 0);
    default: return number(out, INTEGER, column == 16 ? 2 : 1);
  }
}

static size_t system_value(int which, uint32_t device, uint64_t hundredths, uint8_t *out) {
  static const uint8_t object_id[] = {IDENTIFIER, 9, 0x2b, 6, 1, 4, 1, 0x81, 0xfd, 0x59, 1};  // 1.3.6.1.4.1.32473.1 (RFC 5612)
  switch (which) {
    case 1: return text(out, "simulated agent %u", device);
    case 2: return memcpy(out, object_id, sizeof object_id), sizeof object_id;
    case 3: return number(out, TICKS, hundredths);
    case 5: return text(out, "d%05u", device);
    case 7: return number(out, INTEGER, 6);
    case 99: return number(out, INTEGER, ports);
    default: return text(out, "", 0);
  }
}

size_t table_value(const object *what, uint32_t device, uint64_t hundredths, uint8_t room[VALUE], const uint8_t **value) {
  if (what->fixed) {
    *value = what->fixed;
    return what->fixed_length;
  }
  *value = room;
  return what->column < 100 ? system_value(what->column, device, hundredths, room)
                            : interface_value(what, device, hundredths, room);
}
