#include "common/base/digest.h"

#include <gtest/gtest.h>

namespace broadside {
namespace {

TEST(Digest, HashOfNothingAndOfText) {
  EXPECT_EQ(Sha256Hex(""), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  EXPECT_EQ(Sha256Hex("abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

TEST(Digest, HexKeepsLeadingZerosAndNeverCuts) {
  EXPECT_EQ(Hex(0xab, 4), "00ab");
  EXPECT_EQ(Hex(~uint64_t{0}, 2), "ffffffffffffffff");
}

}  // namespace
}  // namespace broadside
