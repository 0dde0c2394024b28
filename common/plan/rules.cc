#include <algorithm>
#include <string>
#include <vector>

#include "absl/strings/str_format.h"
#include "common/plan/parse.h"
#include "common/plan/values.h"

/// The one grammar of slo, guards and until:
///
///   rule    = (metric op value [window] | "first rejection") {"on" targets | "in" phases}
///   targets = NAME {"+" NAME}      phases = NAME ["[" N [".." N] "]"] {"+" …}
///   window  = "over" DURATION | "for" DURATION | "for" N "intervals"
///
/// The window may also stand after "on" and "in"; each clause once.
namespace broadside::plan {
namespace {

const std::vector<std::string>& Measures() {
  static const std::vector<std::string> kMeasures = {"latency",    "service", "wait", "lag",
                                                     "first_byte", "ttft",    "itl",  "tpot"};
  return kMeasures;
}

struct NamedMetric {
  std::string_view name;
  Metric::Kind kind;
};
constexpr NamedMetric kNamed[] = {
    {"error_rate", Metric::Kind::kErrorRate},     {"reject_rate", Metric::Kind::kRejectRate},
    {"timeout_rate", Metric::Kind::kTimeoutRate}, {"good_share", Metric::Kind::kGoodShare},
    {"ok_rate", Metric::Kind::kOkRate},           {"good_rate", Metric::Kind::kGoodRate},
    {"achieved", Metric::Kind::kAchieved}};

/// Splits a rule into words and the signs < <= > >= + [ ].
std::vector<std::string> Tokens(std::string_view text) {
  std::vector<std::string> tokens;
  std::string word;
  const auto flush = [&] {
    if (!word.empty()) tokens.push_back(std::move(word));
    word.clear();
  };
  for (size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (c == ' ' || c == '\t' || c == '\n' || c == '\r') {
      flush();
    } else if (std::string_view("<>=!+[]").find(c) != std::string_view::npos) {
      flush();
      std::string sign(1, c);
      if (c != '+' && c != '[' && c != ']' && i + 1 < text.size() && text[i + 1] == '=')
        sign += text[++i];
      tokens.push_back(std::move(sign));
    } else {
      word += c;
    }
  }
  flush();
  return tokens;
}

class RuleParser {
 public:
  explicit RuleParser(std::string_view text) : text_(text), tokens_(Tokens(text)) {}

  StatusOr<Rule> Run() {
    rule_.text = std::string(Trim(text_));
    if (text_.size() > 500)
      return InvalidArgument(Quoted(text_) + " is longer than 500 characters.");
    if (tokens_.empty()) return InvalidArgument("a rule is missing. Write p99 < 50ms.");
    if (Peek() == "first") {
      Next();
      if (Next() != "rejection") return Error("after \"first\" stands \"rejection\"");
      rule_.metric.kind = Metric::Kind::kFirstRejection;
    } else {
      BROADSIDE_RETURN_IF_ERROR(ReadMetric());
      BROADSIDE_RETURN_IF_ERROR(ReadOp());
      BROADSIDE_RETURN_IF_ERROR(ReadValue());
    }
    while (!AtEnd()) BROADSIDE_RETURN_IF_ERROR(ReadClause());
    return rule_;
  }

 private:
  bool AtEnd() const { return at_ == tokens_.size(); }
  std::string_view Peek() const { return AtEnd() ? std::string_view() : tokens_[at_]; }
  std::string Next() { return AtEnd() ? std::string() : tokens_[at_++]; }
  std::string Found(std::string_view token) const {
    return token.empty() ? "it ends" : "it has " + Quoted(token);
  }
  Status Error(const std::string& why) const {
    return InvalidArgument(Quoted(text_) + " is not a rule: " + why +
                           (why.ends_with("?") ? "" : "."));
  }

  Status ReadMetric() {
    const std::string word = Next();
    for (const NamedMetric& named : kNamed) {
      if (word == named.name) {
        rule_.metric.kind = named.kind;
        return {};
      }
    }
    std::string_view statistic = word;
    const size_t dot = word.find('.');
    // "p99.9" has a dot of its own.
    if (dot != std::string::npos &&
        !(word[0] == 'p' && dot > 1 && word[1] >= '0' && word[1] <= '9')) {
      rule_.metric.measure = word.substr(0, dot);
      statistic.remove_prefix(dot + 1);
      const auto& known = Measures();
      if (std::find(known.begin(), known.end(), rule_.metric.measure) == known.end())
        return Error(Quoted(rule_.metric.measure) + " is not a measure." +
                     DidYouMean(rule_.metric.measure, known, " Known are " + JoinOr(known)));
    }
    if (statistic == "mean" || statistic == "max") {
      rule_.metric.kind = statistic == "mean" ? Metric::Kind::kMean : Metric::Kind::kMax;
      return {};
    }
    if (statistic.size() > 1 && statistic[0] == 'p') {
      std::string_view digits = statistic.substr(1);
      const auto number = TakeDecimal(digits);
      if (number && digits.empty()) {
        const auto ppm = number->Times(10'000);
        if (!ppm || *ppm < 500'000 || *ppm > 999'900)
          return Error(Quoted(statistic) + " is out of range; percentiles are p50 … p99.99");
        rule_.metric.percentile = *ppm;
        return {};
      }
    }
    std::vector<std::string> known = {"p50", "p90", "p95", "p99", "mean", "max"};
    for (const NamedMetric& named : kNamed) known.emplace_back(named.name);
    return Error(Quoted(word) + " is not a metric." +
                 DidYouMean(word, known,
                            " Known are p50 … p99.99, mean, max, error_rate, reject_rate, "
                            "timeout_rate, good_share, ok_rate, good_rate, achieved and "
                            "\"first rejection\""));
  }

  Status ReadOp() {
    const std::string sign = Next();
    if (sign == "<") rule_.op = Op::kLess;
    if (sign == "<=") rule_.op = Op::kLessEqual;
    if (sign == ">") rule_.op = Op::kGreater;
    if (sign == ">=") rule_.op = Op::kGreaterEqual;
    if (sign != "<" && sign != "<=" && sign != ">" && sign != ">=")
      return Error("after the metric stands <, <=, > or >=, " + Found(sign));
    return {};
  }

  Status ReadValue() {
    std::string word = Next();
    if (word.empty()) return Error("the value is missing");
    std::string_view rest = word;
    // "50 ms", "100 /s": the unit may stand apart.
    const std::string_view next = Peek();
    if (TakeDecimal(rest) && rest.empty() && !next.empty() &&
        (next[0] == '/' || next == "%" || ParseDuration("1" + std::string(next)).ok()))
      word += Next();
    switch (rule_.metric.kind) {
      case Metric::Kind::kPercentile:
      case Metric::Kind::kMean:
      case Metric::Kind::kMax: {
        BROADSIDE_ASSIGN_OR_RETURN(rule_.value, Placed(ParseDuration(word)));
        return {};
      }
      case Metric::Kind::kErrorRate:
      case Metric::Kind::kRejectRate:
      case Metric::Kind::kTimeoutRate:
      case Metric::Kind::kGoodShare: {
        BROADSIDE_ASSIGN_OR_RETURN(const Ppm share, Placed(ParsePercent(word)));
        if (share > 1'000'000) return Error(Quoted(word) + " is more than 100%");
        rule_.value.emplace<1>(share);
        return {};
      }
      default:
        return ReadRateOrShare(word);
    }
  }

  Status ReadRateOrShare(const std::string& word) {
    if (!word.ends_with("%")) {
      auto value = ParseRate(word);
      if (!value.ok())
        return Error(Quoted(word) + " is neither a rate (900/s) nor a share (98% of offered)");
      rule_.value.emplace<2>(*value);
      return {};
    }
    BROADSIDE_ASSIGN_OR_RETURN(const Ppm share, Placed(ParsePercent(word)));
    if (Next() != "of" || Next() != "offered")
      return Error("a share here is of the offered rate: write \"" + word + " of offered\"");
    rule_.value.emplace<1>(share);
    rule_.of_offered = true;
    return {};
  }

  Status Placed(const Status& status) const {
    if (status.ok()) return status;
    std::string why = MessageOf(status);
    if (why.ends_with(".")) why.pop_back();
    return Error(why);
  }
  template <class T>
  StatusOr<T> Placed(StatusOr<T> value) const {
    if (value.ok()) return value;
    return Placed(value.status());
  }

  Status ReadClause() {
    const std::string word = Next();
    if (word == "on") return ReadTargets();
    if (word == "in") return ReadPhases();
    if (word == "over" || word == "for") return ReadWindow(word);
    return Error("after the value stands on TARGET, in PHASE, over DURATION or for DURATION, " +
                 Found(word));
  }

  Status ReadName(std::string& out) {
    out = Next();
    if (out.empty()) return Error("a name is missing at the end");
    return Placed(CheckName(out));
  }

  Status ReadTargets() {
    if (!rule_.targets.empty()) return Error("\"on\" stands twice; join targets by +: on a+b");
    do {
      std::string name;
      BROADSIDE_RETURN_IF_ERROR(ReadName(name));
      rule_.targets.push_back(std::move(name));
    } while (TakeSign("+"));
    return {};
  }

  Status ReadPhases() {
    if (!rule_.phases.empty()) return Error("\"in\" stands twice; join phases by +: in a+b");
    do {
      PhaseRef ref;
      BROADSIDE_RETURN_IF_ERROR(ReadName(ref.name));
      if (TakeSign("[")) BROADSIDE_RETURN_IF_ERROR(ReadSteps(ref));
      rule_.phases.push_back(std::move(ref));
    } while (TakeSign("+"));
    return {};
  }

  Status ReadSteps(PhaseRef& ref) {
    std::string range = Next();
    const size_t dots = range.find("..");
    const auto number = [](std::string_view digits) -> std::optional<uint32_t> {
      const auto value = TakeDecimal(digits);
      if (!value || !digits.empty() || value->decimals != 0 || value->digits > 1'000'000) return {};
      return static_cast<uint32_t>(value->digits);
    };
    ref.from = number(std::string_view(range).substr(0, dots));
    ref.to = dots == std::string::npos ? ref.from : number(range.substr(dots + 2));
    if (!ref.from || !ref.to || *ref.from > *ref.to || !TakeSign("]"))
      return Error("steps are written " + ref.name + "[0] or " + ref.name + "[1..3]");
    return {};
  }

  Status ReadWindow(const std::string& word) {
    if (rule_.window.kind != Window::Kind::kWhole) return Error("it has two windows");
    if (rule_.metric.kind == Metric::Kind::kFirstRejection)
      return Error("\"first rejection\" has no window");
    std::string length = Next();
    std::string_view digits = length;
    const auto number = TakeDecimal(digits);
    if (number && digits.empty() && (Peek() == "intervals" || Peek() == "interval")) {
      Next();
      if (word == "over") return Error("write \"for " + length + " intervals\"");
      if (number->decimals != 0 || number->digits < 1 || number->digits > 100'000)
        return Error("\"for N intervals\" has N from 1 to 100000");
      rule_.window = {Window::Kind::kForIntervals, Nanos(0), static_cast<uint32_t>(number->digits)};
      return {};
    }
    if (length.empty()) return Error("after \"" + word + "\" stands a duration");
    BROADSIDE_ASSIGN_OR_RETURN(rule_.window.length, Placed(ParseDuration(length)));
    if (rule_.window.length <= Nanos(0) || rule_.window.length > rate::kMaxSegmentLength)
      return Error("a window is longer than 0 and at most 24h");
    rule_.window.kind = word == "over" ? Window::Kind::kOver : Window::Kind::kFor;
    return {};
  }

  bool TakeSign(std::string_view sign) {
    if (Peek() != sign) return false;
    ++at_;
    return true;
  }

  std::string_view text_;
  std::vector<std::string> tokens_;
  size_t at_ = 0;
  Rule rule_;
};

}  // namespace

StatusOr<Rule> ParseRule(std::string_view text) { return RuleParser(text).Run(); }

}  // namespace broadside::plan
