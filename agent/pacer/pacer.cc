#include "agent/pacer/pacer.h"

#include <algorithm>
#include <map>
#include <set>
#include <utility>
#include <vector>

#include "common/base/check.h"
#include "common/base/mutants.h"

namespace broadside::agent {
namespace {

/// Due times in [begin, end) that were already past when they were granted.
struct Late {
  RunTime begin;
  RunTime end;
};

/// The loop's part of one segment under one deal.
struct Stream {
  SegmentId id;
  RunTime end;
  rate::Stripe stripe;
};

/// One epoch as this agent knows it.
struct Epoch {
  rate::Deal deal;
  RunTime first;    ///< start of the deal's first interval
  RunTime granted;  ///< due times from `first` to before this are granted
  RunTime limit;    ///< where the next epoch begins, if there is one
  std::vector<Stream> streams;
  std::vector<SegmentId> opened;  ///< every segment that has or had a stream
  std::vector<Late> late;         ///< rising, apart
};

}  // namespace

struct Pacer::Impl {
  struct Head {
    Epoch* epoch = nullptr;
    Stream* stream = nullptr;
    const rate::Arrival* arrival = nullptr;
  };

  std::vector<std::shared_ptr<const rate::CompiledSegment>> segments;
  std::map<ShardEpoch, Epoch> epochs;
  std::set<ShardEpoch> over;  ///< epochs that were taken to their end and let go
  std::optional<RunTime> expired_before;
  std::optional<RunTime> stop;

  Head Oldest();
  void OpenStreams(Epoch& epoch, const Options& options);
  void RetireStreams(Epoch& epoch);
  void RetireEpochs();
  bool IsLast(const Stream& stream) const;
  bool Expired(Epoch& epoch, RunTime due) const;
};

Pacer::Impl::Head Pacer::Impl::Oldest() {
  Head head;
  for (auto& [number, epoch] : epochs) {
    const RunTime limit = stop ? std::min(*stop, epoch.granted) : epoch.granted;
    for (Stream& stream : epoch.streams) {
      const rate::Arrival* arrival = stream.stripe.Peek();
      if (arrival == nullptr || arrival->due >= limit) continue;
      if (head.arrival == nullptr || arrival->due < head.arrival->due) {
        head = {.epoch = &epoch, .stream = &stream, .arrival = arrival};
      }
    }
  }
  return head;
}

void Pacer::Impl::OpenStreams(Epoch& epoch, const Options& options) {
  const auto& owners = epoch.deal.owners;
  if (std::find(owners.begin(), owners.end(), options.owner) == owners.end()) return;
  for (const auto& segment : segments) {
    const SegmentId id = segment->segment().id;
    const RunTime start = segment->segment().start;
    if (start >= epoch.granted || segment->end() <= epoch.first) continue;
    if (std::find(epoch.opened.begin(), epoch.opened.end(), id) != epoch.opened.end()) continue;
    epoch.opened.push_back(id);
    // From a place that does not depend on what was granted when, so that all loops count alike.
    const RunTime from = std::max(start, epoch.first);
    epoch.streams.push_back(
        {.id = id,
         .end = segment->end(),
         .stripe = rate::Stripe(segment, epoch.deal, options.owner, from, segment->end(),
                                {options.loop, options.loops})});
  }
}

/// Only a segment that no other one follows may still be moved on.
bool Pacer::Impl::IsLast(const Stream& stream) const {
  return std::none_of(segments.begin(), segments.end(),
                      [&](const auto& segment) { return segment->segment().start >= stream.end; });
}

void Pacer::Impl::RetireStreams(Epoch& epoch) {
  std::erase_if(epoch.streams, [this](const Stream& stream) {
    return stream.stripe.Peek() == nullptr && !IsLast(stream);
  });
}

/// An epoch is over once all that lies before the next one's first interval was granted and taken.
void Pacer::Impl::RetireEpochs() {
  for (auto it = epochs.begin(); it != epochs.end();) {
    const Epoch& epoch = it->second;
    const bool owes = std::any_of(epoch.streams.begin(), epoch.streams.end(), [&](const auto& s) {
      const rate::Arrival* arrival = s.stripe.Peek();
      return arrival != nullptr && arrival->due < epoch.granted;
    });
    if (epoch.granted < epoch.limit || owes) {
      ++it;
    } else {
      over.insert(it->first);
      it = epochs.erase(it);
    }
  }
}

bool Pacer::Impl::Expired(Epoch& epoch, RunTime due) const {
  if (stop) return true;
  if (expired_before && due < *expired_before) return true;
  while (!epoch.late.empty() && epoch.late.front().end <= due) {
    epoch.late.erase(epoch.late.begin());
  }
  return !epoch.late.empty() && epoch.late.front().begin <= due;
}

Pacer::Pacer(Options options) : options_(options), impl_(std::make_unique<Impl>()) {
  BROADSIDE_CHECK(options.loop < options.loops && options.interval > Nanos(0));
}
Pacer::Pacer(Pacer&&) noexcept = default;
Pacer& Pacer::operator=(Pacer&&) noexcept = default;
Pacer::~Pacer() = default;

void Pacer::AddSegment(std::shared_ptr<const rate::CompiledSegment> segment) {
  const SegmentId id = segment->segment().id;
  const auto known = std::find_if(impl_->segments.begin(), impl_->segments.end(),
                                  [&](const auto& other) { return other->segment().id == id; });
  if (known == impl_->segments.end()) {
    impl_->segments.push_back(segment);
  } else if ((*known)->end() < segment->end()) {
    *known = segment;
  } else {
    return;
  }
  for (auto& [number, epoch] : impl_->epochs) {
    for (Stream& stream : epoch.streams) {
      if (stream.id != id) continue;
      stream.end = segment->end();
      stream.stripe.Extend(segment, segment->end());
    }
    impl_->OpenStreams(epoch, options_);
  }
}

void Pacer::AddDeal(rate::Deal deal) {
  const ShardEpoch number = deal.epoch;
  if (impl_->over.contains(number) || impl_->epochs.contains(number)) return;
  const RunTime first = IntervalStart(deal.first, options_.interval);
  RunTime limit = RunTime::max();
  for (auto& [other_number, other] : impl_->epochs) {
    if (other_number < number) other.limit = std::min(other.limit, first);
    if (other_number > number) limit = std::min(limit, other.first);
  }
  impl_->epochs.emplace(
      number, Epoch{.deal = std::move(deal), .first = first, .granted = first, .limit = limit});
}

void Pacer::Grant(ShardEpoch epoch_number, IntervalIndex last, RunTime now) {
  const auto found = impl_->epochs.find(epoch_number);
  if (found == impl_->epochs.end()) return;
  Epoch& epoch = found->second;
  const RunTime granted = std::min(IntervalStart(last + 1, options_.interval), epoch.limit);
  if (granted <= epoch.granted) return;
  if (epoch.granted < now && !MutantIs(Mutant::kLateSent))
    epoch.late.push_back({epoch.granted, std::min(now, granted)});
  epoch.granted = granted;
  impl_->OpenStreams(epoch, options_);
  impl_->RetireStreams(epoch);
  impl_->RetireEpochs();
}

void Pacer::ExtendLease(Instant end, Instant now_local, RunTime now) {
  if (!LeaseHolds(now_local) && !MutantIs(Mutant::kWaitingKeptAtLapse)) {
    impl_->expired_before = impl_->expired_before ? std::max(*impl_->expired_before, now) : now;
  }
  ExtendLease(end);
}

void Pacer::ExtendLease(Instant end) { lease_end_ = std::max(lease_end_, end); }

void Pacer::Stop(RunTime end) { impl_->stop = impl_->stop ? std::min(*impl_->stop, end) : end; }

size_t Pacer::Take(RunTime now, Instant now_local, std::span<DueArrival> out) {
  const bool holds = LeaseHolds(now_local) || MutantIs(Mutant::kLeaseUnchecked);
  size_t taken = 0;
  while (taken < out.size()) {
    const Impl::Head head = impl_->Oldest();
    if (head.arrival == nullptr || head.arrival->due > now) break;
    const bool expired = impl_->Expired(*head.epoch, head.arrival->due);
    out[taken++] = {.arrival = *head.arrival, .permitted = holds && !expired};
    head.stream->stripe.Pop();
  }
  return taken;
}

std::optional<RunTime> Pacer::NextDue() const {
  const Impl::Head head = impl_->Oldest();
  if (head.arrival == nullptr) return std::nullopt;
  return head.arrival->due;
}

}  // namespace broadside::agent
