#pragma once

#include <cstdio>
#include <cstdlib>

/// A broken invariant is a bug of ours, never the user's: print where and stop, in release builds
/// too.
#define BROADSIDE_CHECK(condition)                                                       \
  do {                                                                                   \
    if (!(condition)) [[unlikely]] {                                                     \
      std::fprintf(stderr, "%s:%d: check failed: %s\n", __FILE__, __LINE__, #condition); \
      std::abort();                                                                      \
    }                                                                                    \
  } while (false)
