#include "common/base/digest.h"

#include <openssl/evp.h>

#include <cstdio>
#include <random>

#include "common/base/check.h"

namespace broadside {

std::string Sha256Hex(std::string_view bytes) {
  unsigned char digest[EVP_MAX_MD_SIZE];
  unsigned length = 0;
  BROADSIDE_CHECK(EVP_Digest(bytes.data(), bytes.size(), digest, &length, EVP_sha256(), nullptr) ==
                  1);
  std::string out;
  for (unsigned i = 0; i < length; ++i) out += Hex(digest[i], 2);
  return out;
}

std::string Hex(uint64_t value, int digits) {
  char text[24];
  std::snprintf(text, sizeof(text), "%0*llx", digits, static_cast<unsigned long long>(value));
  return text;
}

uint64_t RandomBits() {
  std::random_device device;
  return (uint64_t{device()} << 32) | device();
}

}  // namespace broadside
