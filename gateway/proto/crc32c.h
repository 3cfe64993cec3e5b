/* CRC-32C (Castagnoli, RFC 3720 12.1), as the PROXY protocol uses it. A pure function of the bytes. */
#ifndef SLUICE_PROTO_CRC32C_H
#define SLUICE_PROTO_CRC32C_H

#include <stddef.h>
#include <stdint.h>

#define CRC32C_INIT UINT32_C(0xFFFFFFFF)

/* Goes on with `crc`, which begins as CRC32C_INIT; crc32c_end makes the checksum of it. */
uint32_t crc32c_add(uint32_t crc, const uint8_t *bytes, size_t n);
uint32_t crc32c_end(uint32_t crc);

#endif
