#pragma once

#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <sstream>
#include <string>

namespace broadside {

/// Compares with the file `name` in BROADSIDE_GOLDEN_DIR, which the test's CMakeLists.txt defines;
/// with UPDATE_GOLDEN=1 in the environment writes it instead.
inline void ExpectGolden(const std::string& name, const std::string& actual) {
  const std::string path = std::string(BROADSIDE_GOLDEN_DIR) + "/" + name;
  if (const char* update = std::getenv("UPDATE_GOLDEN"); update != nullptr && *update == '1') {
    std::ofstream file(path);
    file << actual;
    ASSERT_TRUE(file.good()) << path;
    return;
  }
  std::ifstream in(path);
  ASSERT_TRUE(in.good()) << path << " is missing: run this test once with UPDATE_GOLDEN=1";
  std::stringstream expected;
  expected << in.rdbuf();
  EXPECT_EQ(actual, expected.str()) << "differs from " << path
                                    << "; if that is meant, run with UPDATE_GOLDEN=1 and look at "
                                       "the difference";
}

}  // namespace broadside
