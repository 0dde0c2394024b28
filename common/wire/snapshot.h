#pragma once

#include <string>

#include "common/base/status.h"
#include "common/stats/snapshot.h"
#include "common/wire/messages.h"

/// A snapshot's body: protobuf, packed by zstd. Packing contexts are kept per thread.
namespace broadside::wire {

/// A body never unpacks to more than this.
constexpr uint32_t kMaxSnapshotBody = 64u << 20;

/// Envelope of `snapshot` without the ask fields. With `thin` the histograms stay behind: what an
/// outbox keeps when it is full, so that the ledger still closes.
SnapshotEnvelope PackSnapshot(const stats::Snapshot& snapshot, bool thin = false);
/// Checks the size claims, the names and numbers of the body. Histogram counts are not decoded
/// here.
StatusOr<stats::Snapshot> UnpackSnapshot(const SnapshotEnvelope& envelope);

}  // namespace broadside::wire
