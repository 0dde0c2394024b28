#pragma once

/// Exact schedules and sums need more than 64 bits; the extension keeps -Wpedantic quiet about it.
namespace broadside {

__extension__ typedef __int128 int128;
__extension__ typedef unsigned __int128 uint128;

}  // namespace broadside
