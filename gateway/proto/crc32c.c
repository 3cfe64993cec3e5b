#include "proto/crc32c.h"

/* By four bits: a header has some hundred bytes, and 64 bytes of table stay in a cache line. */
static const uint32_t nibbles[16] = {
    0x00000000,
    0x105EC76F,
    0x20BD8EDE,
    0x30E349B1,
    0x417B1DBC,
    0x5125DAD3,
    0x61C69362,
    0x7198540D,
    0x82F63B78,
    0x92A8FC17,
    0xA24BB5A6,
    0xB21572C9,
    0xC38D26C4,
    0xD3D3E1AB,
    0xE330A81A,
    0xF36E6F75,
};

uint32_t crc32c_add(uint32_t crc, const uint8_t *bytes, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        crc ^= bytes[i];
        crc = (crc >> 4) ^ nibbles[crc & 15];
        crc = (crc >> 4) ^ nibbles[crc & 15];
    }
    return crc;
}

uint32_t crc32c_end(uint32_t crc)
{
    return ~crc;
}
