#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "common/base/ids.h"
#include "common/rate/segment.h"
#include "common/stats/histogram.h"
#include "common/stats/snapshot.h"
#include "common/time/time.h"

/// The plan: an immutable, validated description of a test. Plain values; parsing is in parse.h.
namespace broadside::plan {

using rate::MicroRate;
using stats::Ppm;

/// Where something stands in the plan's text, from 1; 0 = made by a default or a flag.
struct Where {
  int line = 0;
  int column = 0;
  friend bool operator==(const Where&, const Where&) {
    return true;
  }  // never part of a plan's identity
};

// ---- Targets -------------------------------------------------------------------------------

enum class Protocol : uint8_t {
  kHttp,
  kKserveHttp,
  kKserveGrpc,
  kKserveGrpcStream,
  kOpenaiChat,
  kOpenaiCompletions,
  kGenerateStream,
  kGrpc,
};
std::string_view ProtocolName(Protocol protocol);

struct Url {
  std::string scheme;            ///< "http", "https", "grpc", "grpcs"
  std::string host;              ///< name, IPv4 or IPv6 without brackets
  uint16_t port = 0;             ///< the scheme's default when the text has none
  std::string path;              ///< with query, starts with "/"
  std::string HostPort() const;  ///< as in a Host header: without the scheme's default port
  friend bool operator==(const Url&, const Url&) = default;
};

struct Header {
  std::string name;   ///< case kept
  std::string value;  ///< may hold ${secret:NAME}
  friend bool operator==(const Header&, const Header&) = default;
};

struct Tls {
  std::string ca, cert, key, server_name;
  bool insecure = false;
  friend bool operator==(const Tls&, const Tls&) = default;
};

/// Tensors made up from the model's metadata.
struct AutoInput {
  enum class Data : uint8_t { kRandom, kZero };
  uint32_t batch = 1;
  std::map<std::string, std::vector<int64_t>>
      shapes;  ///< for dims of −1; without the batch dimension
  Data data = Data::kRandom;
  uint32_t string_length = 128;
  std::string
      config;  ///< path of a config.pbtxt that stands in for the server's metadata; or empty
  friend bool operator==(const AutoInput&, const AutoInput&) = default;
};
/// perf_analyzer's JSON data file.
struct FileInput {
  std::string file;
  friend bool operator==(const FileInput&, const FileInput&) = default;
};
/// A body sent as it is.
struct PayloadInput {
  std::string file;
  friend bool operator==(const PayloadInput&, const PayloadInput&) = default;
};
/// One file a tensor, named as the input.
struct DirectoryInput {
  std::string directory;
  std::vector<std::string> files;  ///< found when the plan was read, sorted
  friend bool operator==(const DirectoryInput&, const DirectoryInput&) = default;
};
struct PromptsInput {
  std::string file, format, order;
  std::string body_json;  ///< extra body fields as JSON
  friend bool operator==(const PromptsInput&, const PromptsInput&) = default;
};
/// Nothing: a request without a body (http).
struct NoInput {
  friend bool operator==(const NoInput&, const NoInput&) = default;
};
/// http: a body written in the plan.
struct TextInput {
  std::string text;
  friend bool operator==(const TextInput&, const TextInput&) = default;
};
using Input = std::variant<NoInput, TextInput, AutoInput, FileInput, PayloadInput, DirectoryInput,
                           PromptsInput>;

enum class Encoding : uint8_t { kJson, kBinary };

/// A Vegeta target file, sent round robin.
struct VegetaFile {
  std::string file;
  std::string format;  ///< "http" or "json"
  friend bool operator==(const VegetaFile&, const VegetaFile&) = default;
};

/// The user's own sign of an application breaker.
struct BreakerMatch {
  std::optional<int> status;
  std::string header, header_value, body_contains, json_pointer, equals_json;
  friend bool operator==(const BreakerMatch&, const BreakerMatch&) = default;
};
struct BreakerSpec {
  std::string rule_file, rule_name, via;  ///< via: sidecar, gateway, server, auto
  uint32_t endpoints = 0;
  bool retries = false;
  std::optional<Nanos> open_for;
  std::optional<Ppm> opens_at_errors;
  uint32_t opens_at_window = 0, half_open_calls = 0;
  std::map<std::string, std::string> expect;
  std::vector<BreakerMatch> match;
  friend bool operator==(const BreakerSpec&, const BreakerSpec&) = default;
};

/// Bounds that make a request "good".
struct Good {
  std::optional<Nanos> latency, ttft, tpot;
  friend bool operator==(const Good&, const Good&) = default;
};

struct Target {
  std::string name;
  Where where;
  Protocol protocol = Protocol::kHttp;
  std::string url;              ///< as written; empty for Vegeta files, whose lines hold URLs
  std::optional<Url> endpoint;  ///< parsed `url`
  std::string method;           ///< http: GET, or POST when there is a body; kserve: POST
  std::string model, model_version;
  std::vector<Header> headers;
  std::optional<Tls> tls;
  Input input;
  Encoding encoding = Encoding::kJson;
  std::optional<VegetaFile> vegeta;
  uint64_t weight = 1;
  Good good;
  std::optional<BreakerSpec> breaker;
  bool reuse = true;
  std::string connect_to;  ///< HOST:PORT dialled instead of the URL's; or empty
  friend bool operator==(const Target&, const Target&) = default;
};

// ---- Load ----------------------------------------------------------------------------------

enum class ArrivalMode : uint8_t { kUniform, kPoisson };

/// "150% of NAME[.TARGET].held|peak|failed"
struct RateOfSearch {
  Ppm ratio = 0;
  std::string search, target, which;
  friend bool operator==(const RateOfSearch&, const RateOfSearch&) = default;
};
using RateValue = std::variant<MicroRate, RateOfSearch>;

struct ConstantLoad {
  RateValue rate;
  friend bool operator==(const ConstantLoad&, const ConstantLoad&) = default;
};
struct RatesLoad {
  std::map<std::string, RateValue> rates;
  friend bool operator==(const RatesLoad&, const RatesLoad&) = default;
};
struct RampLoad {
  MicroRate from = 0, to = 0;
  friend bool operator==(const RampLoad&, const RampLoad&) = default;
};
struct StepsLoad {
  MicroRate from = 0, to = 0, by = 0;
  Nanos each{};
  friend bool operator==(const StepsLoad&, const StepsLoad&) = default;
};
struct SineLoad {
  MicroRate mean = 0, amplitude = 0;
  Nanos period{};
  friend bool operator==(const SineLoad&, const SineLoad&) = default;
};
struct ReplayLoad {
  std::string file, format;
  int64_t speed_num = 1, speed_den = 1;
  friend bool operator==(const ReplayLoad&, const ReplayLoad&) = default;
};
struct ConcurrencyLoad {
  uint32_t slots = 0;
  friend bool operator==(const ConcurrencyLoad&, const ConcurrencyLoad&) = default;
};
struct IdleLoad {
  bool automatic = false;
  friend bool operator==(const IdleLoad&, const IdleLoad&) = default;
};

// ---- Rules: one grammar for slo, guards and until ---------------------------------------------

struct Metric {
  enum class Kind : uint8_t {
    kPercentile,
    kMean,
    kMax,  ///< of `measure`
    kErrorRate,
    kRejectRate,
    kTimeoutRate,
    kGoodShare,
    kOkRate,
    kGoodRate,
    kAchieved,
    kFirstRejection,
  };
  Kind kind = Kind::kPercentile;
  std::string measure = "latency";  ///< latency, service, wait, lag, first_byte, ttft, itl, tpot
  Ppm percentile = 0;
  friend bool operator==(const Metric&, const Metric&) = default;
};
enum class Op : uint8_t { kLess, kLessEqual, kGreater, kGreaterEqual };
struct Window {
  enum class Kind : uint8_t { kWhole, kOver, kFor, kForIntervals };
  Kind kind = Kind::kWhole;
  Nanos length{};
  uint32_t intervals = 0;
  friend bool operator==(const Window&, const Window&) = default;
};
/// "NAME[from..to]"; without brackets every step of the phase.
struct PhaseRef {
  std::string name;
  std::optional<uint32_t> from, to;
  friend bool operator==(const PhaseRef&, const PhaseRef&) = default;
};
struct Rule {
  std::string text;  ///< as written
  Where where;
  Metric metric;
  Op op = Op::kLess;
  /// Duration, share or rate, as the metric wants: by index, since Ppm and MicroRate are one type.
  std::variant<Nanos, Ppm, MicroRate> value;
  bool of_offered = false;  ///< the share is of the offered rate
  Window window;
  std::vector<std::string> targets;  ///< empty: all
  std::vector<PhaseRef> phases;      ///< empty: the default scope
  friend bool operator==(const Rule&, const Rule&) = default;
};

struct SearchLoad {
  MicroRate from = 0, to = 0;
  std::vector<Rule> until;
  Nanos settle{}, hold{};
  uint32_t confirm = 1, max_steps = 20;
  Ppm precision = 20'000;
  friend bool operator==(const SearchLoad&, const SearchLoad&) = default;
};

using Load = std::variant<ConstantLoad, RatesLoad, RampLoad, StepsLoad, SineLoad, ReplayLoad,
                          ConcurrencyLoad, SearchLoad, IdleLoad>;

struct Phase {
  std::string name;
  Where where;
  Load load;
  Nanos duration{};  ///< of the whole phase; replays: until the last arrival, rounded up
  bool measure = true;
  std::vector<std::string> targets;     ///< empty: all
  std::map<std::string, Ppm> mix;       ///< overrides the weights; sums to 100 %
  std::optional<ArrivalMode> arrivals;  ///< else the plan's
  bool each_target = false;
  friend bool operator==(const Phase&, const Phase&) = default;
};

// ---- The rest ----------------------------------------------------------------------------------

struct Timeout {
  Nanos total = std::chrono::seconds(10);
  std::optional<Nanos> first_token, idle;
  friend bool operator==(const Timeout&, const Timeout&) = default;
};
/// A limit for each agent, or a total that is dealt by weight.
struct Limit {
  uint32_t count = 0;
  bool total = false;
  friend bool operator==(const Limit&, const Limit&) = default;
};
struct Limits {
  Timeout timeout;
  Limit in_flight{1024, false};
  Limit connections{256, false};
  friend bool operator==(const Limits&, const Limits&) = default;
};
enum class Backlog : uint8_t { kSendLate, kSkip };

enum class OnLoss : uint8_t { kReplace, kContinue, kFail };
enum class OnJoin : uint8_t { kDefault, kShare, kStandby };
struct Agents {
  uint32_t min = 1;
  uint32_t max = 0;  ///< 0: all
  std::map<std::string, std::string> select;
  Nanos wait = std::chrono::seconds(60);
  OnLoss on_loss = OnLoss::kReplace;
  OnJoin on_join = OnJoin::kDefault;
  friend bool operator==(const Agents&, const Agents&) = default;
};

struct Observer {
  std::string scrape, prometheus, query, as, accept;
  bool from_agents = false;
  friend bool operator==(const Observer&, const Observer&) = default;
};

struct Record {
  enum class Kind : uint8_t { kNone, kAll, kShare, kSlowest };
  Kind kind = Kind::kNone;
  Ppm share = 0;
  friend bool operator==(const Record&, const Record&) = default;
};

struct Plan {
  std::string name;
  std::vector<Target> targets;
  std::vector<Phase> phases;
  ArrivalMode arrivals = ArrivalMode::kUniform;
  std::optional<uint64_t> seed;
  Limits limits;
  Backlog backlog = Backlog::kSendLate;
  std::vector<Rule> slo, guards;
  std::vector<Observer> observe;
  Agents agents;
  Record record;
  std::map<std::string, std::string> tags;
  /// Thresholds of the validity verdict that the plan overrides, by name (see docs of validity.h).
  std::map<std::string, std::string> validity;
  bool keep_raw = false;
  bool stamp = false;
  Nanos interval = std::chrono::seconds(1);
  /// Files the plan names, as written → SHA-256 in lower-case hex. Filled by ctl (parse.h).
  std::map<std::string, std::string> files;
  friend bool operator==(const Plan&, const Plan&) = default;

  /// Position of a target or phase by name; empty if there is none.
  std::optional<TargetIndex> FindTarget(std::string_view target_name) const;
};

}  // namespace broadside::plan
