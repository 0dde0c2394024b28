#include "common/plan/keys.h"

namespace broadside::plan {
namespace {

constexpr Key kPlanKeys[] = {
    {"name", "string", "name of the plan; the file's name by default"},
    {"defaults", "@target", "merged under every target"},
    {"targets", "map:@target|list:@target", "what is tested, by name"},
    {"arrivals", "'uniform'|'poisson'", "how arrivals are spaced; uniform by default"},
    {"seed", "integer", "of everything random; drawn and recorded by default"},
    {"load", "list:@phase", "phases, one after another"},
    {"validity", "map:string|map:number", "thresholds of the validity verdict, by name"},
    {"keep", "'raw'|'thin'", "raw: keep every agent's snapshots after sealing"},
    {"limits", "@limits", "bounds of requests and connections"},
    {"backlog", "'send-late'|'skip'", "what becomes of arrivals that are late"},
    {"slo", "list:rule|rule", "what must hold for the run to pass"},
    {"guards", "list:rule|rule", "what ends the run early, everywhere"},
    {"observe", "list:@observer", "metrics of the other side"},
    {"agents", "@agents", "which agents take part"},
    {"record", "@record", "requests kept one by one"},
    {"tags", "map:string|map:number|map:bool", "words of your own, kept with the run"},
    {"stamp", "bool", "send the header broadside-arrival: run/segment/index"},
    {"interval", "duration", "length of an interval, 50ms … 1s"},
    {"files", "map:string", "SHA-256 of the files that the plan names; filled in by ctl"},
};
constexpr Key kTargetKeys[] = {
    {"name", "string", "where targets are a list"},
    {"protocol",
     "'http'|'kserve-http'|'kserve-grpc'|'kserve-grpc-stream'|'openai-chat'|'openai-completions'|"
     "'generate-stream'|'grpc'",
     "http by default"},
    {"url", "string", "http://HOST:PORT/PATH; without a path for kserve"},
    {"method", "string", "http: GET, or POST when there is a body"},
    {"model", "string", "name of the model"},
    {"model_version", "string|integer", "version of the model; the server's choice by default"},
    {"headers", "map:string|list:string", "sent with every request; may hold ${secret:NAME}"},
    {"tls", "@tls", "certificates"},
    {"input", "'auto'|'none'|@input", "what is sent"},
    {"body", "string", "http: the body, as text"},
    {"targets", "string", "a Vegeta target file, sent round robin"},
    {"format", "'http'|'json'", "of the Vegeta target file; http by default"},
    {"weight", "integer", "share of the arrivals, 1 by default"},
    {"good", "@good", "bounds that make a request good"},
    {"breaker", "@breaker", "the circuit breaker on the way, and what is expected of it"},
    {"reuse", "bool", "false: a fresh connection for each request"},
    {"connect_to", "string", "HOST:PORT dialled in place of the URL's"},
};
constexpr Key kTlsKeys[] = {
    {"ca", "string", "file of the authorities' certificates"},
    {"cert", "string", "file of the client's certificate"},
    {"key", "string", "file of the client's key"},
    {"server_name", "string", "name that the server's certificate must have"},
    {"insecure", "bool", "do not verify the server"},
};
constexpr Key kInputKeys[] = {
    {"auto", "@auto|bool", "tensors made up from the model's metadata"},
    {"file", "string", "data in perf_analyzer's JSON form"},
    {"payload", "string", "a file sent as it is"},
    {"config", "string", "config.pbtxt that stands in for the server's metadata"},
    {"directory", "string", "a file for each tensor"},
    {"files", "list:string", "names in the directory; filled in by ctl"},
    {"prompts", "@prompts", "prompts of a data set"},
    {"body", "map:any", "further fields of the body, with prompts"},
    {"encoding", "'json'|'binary'", "of tensors; json by default"},
};
constexpr Key kAutoKeys[] = {
    {"batch", "integer", "items of a request, 1 by default"},
    {"shapes", "map:list:integer", "shape by input, where the model's has -1"},
    {"data", "'random'|'zero'", "random by default"},
    {"string_length", "integer", "characters of a BYTES element, 128 by default"},
};
constexpr Key kPromptsKeys[] = {
    {"file", "string", "the data set"},
    {"format", "string", "sharegpt, text or jsonl"},
    {"order", "'shuffle'|'file'", "shuffle by default"},
};
constexpr Key kGoodKeys[] = {
    {"latency", "duration", "at most this"},
    {"ttft", "duration", "time to the first token, at most"},
    {"tpot", "duration", "time per output token, at most"},
};
constexpr Key kBreakerKeys[] = {
    {"rule", "@breaker_rule", "an Istio DestinationRule"},
    {"via", "'sidecar'|'gateway'|'server'|'auto'", "where the breaker stands"},
    {"endpoints", "integer", "how many replicas serve the target"},
    {"retries", "bool", "whether the proxy retries"},
    {"open_for", "duration", "how long it stays open"},
    {"opens_at", "@opens_at", "what opens it"},
    {"half_open_calls", "integer", "calls let through when half open"},
    {"match", "list:@match|@match", "signs of the application's own breaker"},
    {"expect", "map:string|map:bool", "expectations by name; off: none"},
};
constexpr Key kBreakerRuleKeys[] = {
    {"file", "string", "the DestinationRule's file"},
    {"name", "string", "its metadata.name, if the file has several"},
};
constexpr Key kOpensAtKeys[] = {
    {"errors", "percent", "share of failed calls"},
    {"window", "integer", "calls in the window"},
};
constexpr Key kMatchKeys[] = {
    {"status", "integer", "HTTP status"},
    {"header", "string", "a header that must be there"},
    {"value", "string", "its value; any by default"},
    {"contains", "string", "text in the body"},
    {"json", "string", "JSON pointer into the body"},
    {"equals", "any", "the value that the pointer must have"},
};
constexpr Key kPhaseKeys[] = {
    {"phase", "string", "its name"},
    {"rate", "rate|string", "a constant rate, or 150% of a search"},
    {"rates", "map:rate|map:string", "a constant rate for each target"},
    {"ramp", "@ramp", "a rate that rises or falls evenly"},
    {"steps", "@steps", "a staircase"},
    {"sine", "@sine", "a wave"},
    {"replay", "@replay", "arrivals as recorded"},
    {"concurrency", "integer", "a closed loop with this many requests in flight"},
    {"search", "@search", "looks for the highest rate that holds"},
    {"idle", "duration|'auto'", "no arrivals"},
    {"duration", "duration", "of the phase; not for steps, search and idle"},
    {"measure", "bool", "false: leave it out of the verdicts"},
    {"targets", "list:string|string", "only these"},
    {"mix", "map:percent", "shares of the targets, 100% in all"},
    {"arrivals", "'uniform'|'poisson'", "in place of the plan's"},
    {"each", "'targets'", "one target after another"},
};
constexpr Key kRampKeys[] = {
    {"from", "rate", "at the beginning"},
    {"to", "rate", "at the end"},
};
constexpr Key kStepsKeys[] = {
    {"from", "rate", "of the first step"},
    {"to", "rate", "of the last step"},
    {"by", "rate", "height of a step"},
    {"each", "duration", "length of a step"},
};
constexpr Key kSineKeys[] = {
    {"mean", "rate", "in the middle"},
    {"amplitude", "rate", "above and below it"},
    {"period", "duration", "of one wave"},
};
constexpr Key kReplayKeys[] = {
    {"file", "string", "CSV: column 1, JSONL: key at; seconds from the phase's start"},
    {"format", "'csv'|'jsonl'", "by the file's name by default"},
    {"speed", "number|string", "2 is twice as fast; a decimal or N/M"},
};
constexpr Key kSearchKeys[] = {
    {"from", "rate", "first rate tried"},
    {"to", "rate", "highest rate tried"},
    {"until", "list:rule|rule", "what ends the climb"},
    {"settle", "duration", "not judged, at the start of a trial"},
    {"hold", "duration", "judged"},
    {"confirm", "integer", "trials that must agree"},
    {"precision", "percent", "of the answer"},
    {"max_steps", "integer", "trials at most"},
};
constexpr Key kLimitsKeys[] = {
    {"timeout", "duration|@timeout", "from the due time; 10s by default"},
    {"in_flight", "integer|string", "N, N/agent or \"N total\"; 1024/agent by default"},
    {"connections", "integer|string", "N, N/agent or \"N total\"; 256/agent by default"},
};
constexpr Key kTimeoutKeys[] = {
    {"total", "duration", "from the due time to the end of the reply"},
    {"first_token", "duration", "to the first token"},
    {"idle", "duration", "between two tokens"},
};
constexpr Key kObserverKeys[] = {
    {"scrape", "string", "URL of metrics in Prometheus' text form"},
    {"prometheus", "string", "URL of a Prometheus server"},
    {"query", "string", "PromQL, with prometheus"},
    {"as", "string", "triton, envoy, or a name of your own"},
    {"accept", "string", "guide-names: the guide's metric names too"},
    {"from", "'controller'|'agents'", "who scrapes; the controller by default"},
};
constexpr Key kAgentsKeys[] = {
    {"min", "integer", "wait for this many; 1 by default"},
    {"max", "integer|'all'", "use at most this many; all by default"},
    {"select", "map:string", "labels that an agent must have"},
    {"wait", "duration", "for agents to come; 60s by default"},
    {"on_loss", "'replace'|'continue'|'fail'", "replace by default"},
    {"on_join", "'default'|'share'|'standby'",
     "share by default, standby when a target has a breaker"},
};
constexpr Key kRecordKeys[] = {
    {"requests", "string", "all, N% or slowest N%"},
};

}  // namespace

const Section kPlanSection{"plan", kPlanKeys};
const Section kTargetSection{"target", kTargetKeys};
const Section kTlsSection{"tls", kTlsKeys};
const Section kInputSection{"input", kInputKeys};
const Section kAutoSection{"auto", kAutoKeys};
const Section kPromptsSection{"prompts", kPromptsKeys};
const Section kGoodSection{"good", kGoodKeys};
const Section kBreakerSection{"breaker", kBreakerKeys};
const Section kBreakerRuleSection{"breaker_rule", kBreakerRuleKeys};
const Section kOpensAtSection{"opens_at", kOpensAtKeys};
const Section kMatchSection{"match", kMatchKeys};
const Section kPhaseSection{"phase", kPhaseKeys};
const Section kRampSection{"ramp", kRampKeys};
const Section kStepsSection{"steps", kStepsKeys};
const Section kSineSection{"sine", kSineKeys};
const Section kReplaySection{"replay", kReplayKeys};
const Section kSearchSection{"search", kSearchKeys};
const Section kLimitsSection{"limits", kLimitsKeys};
const Section kTimeoutSection{"timeout", kTimeoutKeys};
const Section kObserverSection{"observer", kObserverKeys};
const Section kAgentsSection{"agents", kAgentsKeys};
const Section kRecordSection{"record", kRecordKeys};

std::span<const Section* const> AllSections() {
  static const Section* const kAll[] = {
      &kPlanSection,    &kTargetSection, &kTlsSection,     &kInputSection,       &kAutoSection,
      &kPromptsSection, &kGoodSection,   &kBreakerSection, &kBreakerRuleSection, &kOpensAtSection,
      &kMatchSection,   &kPhaseSection,  &kRampSection,    &kStepsSection,       &kSineSection,
      &kReplaySection,  &kSearchSection, &kLimitsSection,  &kTimeoutSection,     &kObserverSection,
      &kAgentsSection,  &kRecordSection};
  return kAll;
}

}  // namespace broadside::plan
