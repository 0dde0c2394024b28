#pragma once

#include <cstdint>

namespace broadside::agent {

/// How often the engine's loops have called operator new, which this test program replaces.
uint64_t LoopAllocations();

}  // namespace broadside::agent
