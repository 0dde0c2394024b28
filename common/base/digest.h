#pragma once

#include <cstdint>
#include <string>
#include <string_view>

/// Names made of bits: content hashes, random ids, numbers as people read them.
namespace broadside {

/// Lower-case hex SHA-256.
std::string Sha256Hex(std::string_view bytes);

/// `value` in lower-case hex, with leading zeros up to `digits`.
std::string Hex(uint64_t value, int digits);

/// 64 bits from the system's entropy.
uint64_t RandomBits();

}  // namespace broadside
