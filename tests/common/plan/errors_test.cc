#include <string>
#include <vector>

#include "common/plan/values.h"
#include "tests/common/plan/plan_test.h"

namespace broadside::plan {
namespace {

const std::string kQuote =
    "quote a value that starts with > % @ & * ! or |, and inside { } or [ ] one that holds ? [ ] "
    "{ } or a comma";

struct Bad {
  std::string text;
  std::string message;
};

void Check(const std::vector<Bad>& cases) {
  for (const Bad& bad : cases) EXPECT_EQ(ErrorOf(bad.text), bad.message) << bad.text;
}

const char kHead[] = "targets: {web: {url: \"http://h/\"}, two: {url: \"http://h/\"}}\nload:\n";
/// A plan of one phase in line 3.
std::string WithPhase(const std::string& phase) {
  return std::string(kHead) + "  - " + phase + "\n";
}
/// A plan with one target, in line 1, column 11.
std::string WithTarget(const std::string& target) {
  return "targets: {" + target + "}\nload: [{phase: a, rate: 1/s, duration: 1s}]\n";
}
/// kSmall and a fifth line.
std::string WithLine(const std::string& line) { return std::string(kSmall) + line + "\n"; }

TEST(PlanErrors, Yaml) {
  Check({
      {"", "plan.yaml:1:1: the file is empty"},
      {"# nothing\n", "plan.yaml:1:1: the file is empty"},
      {"just text", "plan.yaml:1:1: plan: expected a map, found \"just text\"."},
      {"[1, 2]", "plan.yaml:1:1: plan: expected a map, found a list."},
      {WithLine("name: a\nname: b"),
       "plan.yaml:6:1: \"name\" stands here twice; the first is in line 5"},
      {WithLine("---\nname: b"), "plan.yaml:5:1: a second YAML document; a plan is one document"},
      {WithLine("slo:\n\t- p99 < 1s"),
       "plan.yaml:6:1: a tab in the indentation; YAML indents by spaces only"},
      {WithLine("slo: [p99 < 50ms in c[1..3]]"),
       "plan.yaml:5:22: this is not YAML (end of sequence flow not found): " + kQuote},
      {WithLine("tags: {a: %x}"), "plan.yaml:5:11: this is not YAML (unknown token): " + kQuote},
      {WithLine("tags: {a: > 5}"), "plan.yaml:5:11: this is not YAML (unknown token): " + kQuote},
      {WithLine("name: @x"), "plan.yaml:5:7: this is not YAML (unknown token): " + kQuote},
      {WithLine("name: *x"),
       "plan.yaml:5:7: this is not YAML (the referenced anchor is not defined): " + kQuote},
      {WithLine("name: !x y"),
       "plan.yaml:5:7: the tag \"!x\"; a plan has no tags: quote a value that starts with !"},
      {WithLine("name: \"x"), "plan.yaml:5:7: a text whose closing quote is missing"},
      {WithLine("? [a]\n: b"),
       "plan.yaml:5:3: a key that is not a plain word; quote it if it holds [ ] { } or ?"},
      {WithLine("name: \x01"),
       "plan.yaml:5:7: control character 0x01; inside double quotes write \\x01"},
      {WithLine("name: \xFF"), "plan.yaml:5:7: byte 0xff is not UTF-8; save the file as UTF-8"},
      {WithLine("a: &a [*a]"), "plan.yaml:5:8: an alias inside the node it names"},
      {std::string(100'000, '['), "plan.yaml:1:17: nested more than 32 deep"},
      {std::string(5'000'000, ' '), "plan.yaml:1:1: 5000000 bytes; a plan has at most 4194304"},
      {"a: &a [1,1,1,1,1,1,1,1]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a]\nc: &c [*b,*b,*b,*b,*b,*b,*b,*b]\n"
       "d: &d [*c,*c,*c,*c,*c,*c,*c,*c]\ne: &e [*d,*d,*d,*d,*d,*d,*d,*d]\nf: &f "
       "[*e,*e,*e,*e,*e,*e,*e,*e]\ng: [*f,*f,*f,*f,*f,*f,*f,*f]\n",
       "plan.yaml:6:20: more than 200000 values, aliases counted as often as they are used"},
  });
}

TEST(PlanErrors, Keys) {
  Check({
      {WithLine("limit: {timeout: 5s}"),
       "plan.yaml:5:1: unknown key \"limit\". Did you mean \"limits\"?"},
      {WithLine("zzz: 1"),
       "plan.yaml:5:1: unknown key \"zzz\". Known here are name, defaults, targets, arrivals, "
       "seed, load, validity, keep, limits, backlog, slo, guards, observe, agents, record, tags, "
       "stamp, interval or files."},
      {WithLine("limits: {time-out: 5s}"),
       "plan.yaml:5:10: unknown key \"time-out\". Did you mean \"timeout\"?"},
      {WithLine("limits: {foo: 5s}"),
       "plan.yaml:5:10: unknown key \"foo\". Known here are timeout, in_flight or connections."},
      {WithLine("limits:"), "plan.yaml:5:1: limits: has no value."},
      {WithLine("limits: 5s"),
       "plan.yaml:5:9: limits: expected a map with timeout, in_flight or connections, found "
       "\"5s\"."},
      {WithLine("name: [a]"), "plan.yaml:5:7: name: expected text, found a list."},
      {"load: [{phase: a, rate: 1/s, duration: 1s}]\n", "plan.yaml:1:1: targets: is missing here."},
      {"targets: {web: {url: \"http://h/\"}}\n", "plan.yaml:1:1: load: is missing here."},
      {WithLine("defaults: {targets: x}"), "plan.yaml:5:12: targets: is not for defaults."},
      {WithLine("defaults: {wieght: 3}"),
       "plan.yaml:5:12: unknown key \"wieght\". Did you mean \"weight\"?"},
  });
}

TEST(PlanErrors, Targets) {
  Check({
      {WithTarget(""), "plan.yaml:1:10: targets: 0 targets; allowed are 1 … 200."},
      {WithTarget("9x: {url: \"http://h/\"}"),
       "plan.yaml:1:11: targets: \"9x\" is not a name. A name is a letter, then letters, digits, _ "
       "or -, at most 64."},
      {WithTarget("over: {url: \"http://h/\"}"),
       "plan.yaml:1:11: targets: \"over\" is a word of the rules and cannot be a name (on, in, of, "
       "over, for)."},
      {WithTarget("w: {}"), "plan.yaml:1:14: url: is missing here."},
      {WithTarget("w: {url: h}"),
       "plan.yaml:1:20: url: \"h\" is not a URL: it has no scheme. Write http://HOST:PORT/PATH."},
      {WithTarget("w: {url: \"http://\"}"),
       "plan.yaml:1:20: url: \"http://\" is not a URL: the host is missing. Write "
       "http://HOST:PORT/PATH."},
      {WithTarget("w: {url: \"http://h:0/\"}"),
       "plan.yaml:1:20: url: \"http://h:0/\" is not a URL: the port is not 1 … 65535. Write "
       "http://HOST:PORT/PATH."},
      {WithTarget("w: {url: \"http://a b/\"}"),
       "plan.yaml:1:20: url: \"http://a b/\" is not a URL: it holds a space or a control "
       "character. Write http://HOST:PORT/PATH."},
      {WithTarget("w: {url: \"http://u:p@h/\"}"),
       "plan.yaml:1:20: url: \"http://u:p@h/\" is not a URL: a user name in it is not supported, "
       "use headers: {authorization: …}. Write http://HOST:PORT/PATH."},
      {WithTarget("w: {url: \"http://::1/\"}"),
       "plan.yaml:1:20: url: \"http://::1/\" is not a URL: an IPv6 address stands in [ ]. Write "
       "http://HOST:PORT/PATH."},
      {WithTarget("w: {url: \"grpc://h\"}"),
       "plan.yaml:1:20: url: protocol http needs http:// or https://, found \"grpc://h\"."},
      {WithTarget("w: {protocol: kserve, url: \"http://h\"}"),
       "plan.yaml:1:25: protocol: \"kserve\" is unknown; allowed are http, kserve-http, "
       "kserve-grpc, kserve-grpc-stream, openai-chat, openai-completions, generate-stream or "
       "grpc."},
      {WithTarget("w: {protocol: kserve-http, url: \"http://h\"}"),
       "plan.yaml:1:14: model: is missing here."},
      {WithTarget("w: {protocol: kserve-http, model: m, url: \"http://h/v2/models/m/infer\"}"),
       "plan.yaml:1:53: url: \"http://h/v2/models/m/infer\" names a model; for KServe write "
       "http://HOST:PORT and model: NAME."},
      {WithTarget("w: {protocol: kserve-http, model: a b, url: \"http://h\"}"),
       "plan.yaml:1:45: model: \"a b\" holds \" \", which a URL cannot."},
      {WithTarget("w: {url: \"http://h\", model: m}"),
       "plan.yaml:1:32: model: protocol http has no models; write protocol: kserve-http."},
      {WithTarget("w: {url: \"http://h\", input: auto}"),
       "plan.yaml:1:39: input: tensors need a model; protocol http sends {payload: FILE} or none."},
      {WithTarget("w: {url: \"http://h\", method: get}"),
       "plan.yaml:1:40: method: \"get\" is not allowed. Write GET, POST, PUT, DELETE, … in "
       "capitals."},
      {WithTarget("w: {url: \"http://h\", body: x, input: {payload: f}}"),
       "plan.yaml:1:32: body: and input: exclude each other."},
      {WithTarget("w: {protocol: kserve-http, model: m, url: \"http://h\", body: x}"),
       "plan.yaml:1:65: body: is for protocol http; write input: instead."},
      {WithTarget(
           "w: {protocol: kserve-http, model: m, url: \"http://h\", input: {file: a, payload: b}}"),
       "plan.yaml:1:72: input: write exactly one of auto, file, payload, config, directory, "
       "prompts."},
      {WithTarget(
           "w: {protocol: kserve-http, model: m, url: \"http://h\", input: {auto: {batch: 0}}}"),
       "plan.yaml:1:87: batch: 0 is out of range; allowed are 1 … 65536."},
      {WithTarget("w: {protocol: kserve-http, model: m, url: \"http://h\", input: {auto: {shapes: "
                  "{x: [0]}}}}"),
       "plan.yaml:1:93: x: 0 is out of range; allowed are 1 … 1073741824."},
      {WithTarget(
           "w: {protocol: kserve-http, model: m, url: \"http://h\", input: {encoding: protobuf}}"),
       "plan.yaml:1:83: encoding: \"protobuf\" is unknown; allowed are json or binary."},
      {WithTarget("w: {url: \"http://h\", headers: {\"a b\": c}}"),
       "plan.yaml:1:42: headers: \"a b\" is not a header name: letters, digits and !#$%&'*+-.^_`|~ "
       "only."},
      {WithTarget("w: {url: \"http://h\", headers: {a: \"c\\r\\nx: y\"}}"),
       "plan.yaml:1:42: headers: the value of header \"a\" holds the control character 0x0d."},
      {WithTarget("w: {url: \"http://h\", headers: {Content-Length: 3}}"),
       "plan.yaml:1:42: headers: header \"Content-Length\" is written by Broadside itself; leave "
       "it out."},
      {WithTarget("w: {url: \"http://h\", headers: {broadside-arrival: 3}}"),
       "plan.yaml:1:42: headers: header \"broadside-arrival\" is the stamp; write stamp: true "
       "instead."},
      {WithTarget("w: {url: \"http://h\", headers: [abc]}"),
       "plan.yaml:1:42: headers: \"abc\" is not \"name: value\"."},
      {WithTarget("w: {url: \"http://h\", headers: {a: \"${env:X}\"}}"),
       "plan.yaml:1:45: ${env:X} in headers would put its value into the plan and the store; write "
       "${secret:NAME}, or allow it by --send-secrets."},
      {WithTarget("w: {url: \"http://${secret:x}\"}"),
       "plan.yaml:1:20: ${secret:x}: a secret may stand in headers only."},
      {WithTarget("w: {url: \"http://${env:x}\"}"),
       "plan.yaml:1:20: ${env:x} is resolved by ctl only."},
      {WithTarget("w: {url: \"http://h\", headers: {a: \"${secret:../x}\"}}"),
       "plan.yaml:1:45: ${secret:../x}: the name of a secret is letters, digits, _ - and . only."},
      {WithTarget("w: {url: \"http://h\", headers: {a: \"${secrets:x}\"}}"),
       "plan.yaml:1:45: ${secrets:x} is unknown; known are ${secret:NAME}, ${env:NAME} and "
       "${file:PATH}."},
      {WithTarget("w: {url: \"http://h\", weight: 0}"),
       "plan.yaml:1:40: weight: 0 is out of range; allowed are 1 … 1000000."},
      {WithTarget("w: {url: \"http://h\", weight: many}"),
       "plan.yaml:1:40: weight: expected a whole number, found \"many\"."},
      {WithTarget("w: {url: \"http://h\", reuse: maybe}"),
       "plan.yaml:1:39: reuse: expected true or false, found \"maybe\"."},
      {WithTarget("w: {url: \"http://h\", connect_to: host}"),
       "plan.yaml:1:44: connect_to: \"host\" is not HOST:PORT."},
      {WithTarget("w: {url: \"http://h\", format: json}"),
       "plan.yaml:1:32: format: goes with targets: FILE only."},
      {WithTarget("w: {targets: t.txt, url: \"http://h\"}"),
       "plan.yaml:1:31: url: does not go with targets: the lines of a Vegeta file say it."},
      {WithTarget("w: {targets: t.txt, format: csv}"),
       "plan.yaml:1:39: format: \"csv\" is unknown; allowed are http or json."},
  });
}

TEST(PlanErrors, Load) {
  Check({
      {WithPhase("{phase: a, rate: 10k, duration: 1s}"),
       "plan.yaml:3:22: rate: \"10k\" is not a rate. Write 10000/s or 600000/min."},
      {WithPhase("{phase: a, rate: 10, duration: 1s}"),
       "plan.yaml:3:22: rate: \"10\" is not a rate. Write 10/s or 600/min."},
      {WithPhase("{phase: a, rate: fast, duration: 1s}"),
       "plan.yaml:3:22: rate: \"fast\" is not a rate. Write 100/s or 6000/min."},
      {WithPhase("{phase: a, rate: 0/s, duration: 1s}"),
       "plan.yaml:3:22: rate: is 0; write idle: DURATION."},
      {WithPhase("{phase: a, rate: 10000001/s, duration: 1s}"),
       "plan.yaml:3:22: rate: \"10000001/s\" is more than 10000000/s."},
      {WithPhase("{phase: a, rate: 1/s}"), "plan.yaml:3:5: duration: is missing here."},
      {WithPhase("{phase: a, rate: 1/s, duration: 60}"),
       "plan.yaml:3:37: duration: \"60\" is not a duration. Write 60s or 60ms."},
      {WithPhase("{phase: a, rate: 1/s, duration: soon}"),
       "plan.yaml:3:37: duration: \"soon\" is not a duration. Write 250ms, 1.5s, 10m or 1h30m."},
      {WithPhase("{phase: a, rate: 1/s, duration: 25h}"),
       "plan.yaml:3:37: duration: 25h is out of range; allowed are 1ms … 24h."},
      {WithPhase("{phase: a, rate: 1/s, duration: 0s}"),
       "plan.yaml:3:37: duration: 0s is out of range; allowed are 1ms … 24h."},
      {WithPhase("{rate: 1/s, duration: 1s}"), "plan.yaml:3:5: phase: is missing here."},
      {WithPhase("{phase: a, duration: 1s}"),
       "plan.yaml:3:5: phase \"a\" has no load. Write one of rate, rates, ramp, steps, sine, "
       "replay, concurrency, search or idle."},
      {WithPhase("{phase: a, rate: 1/s, idle: 1s, duration: 1s}"),
       "plan.yaml:3:27: phase \"a\" has both rate and idle; a phase has exactly one kind of load."},
      {WithPhase("{phase: in, rate: 1/s, duration: 1s}"),
       "plan.yaml:3:13: phase: \"in\" is a word of the rules and cannot be a name (on, in, of, "
       "over, for)."},
      {WithPhase("{phase: a, rate: 1/s, duration: 1s}\n  - {phase: a, idle: 1s}"),
       "plan.yaml:4:13: phase: a second phase \"a\"."},
      {WithPhase("{phase: a, ramp: {from: 1/s}, duration: 1s}"),
       "plan.yaml:3:22: to: is missing here."},
      {WithPhase("{phase: a, ramp: {from: 0/s, to: 0/s}, duration: 1s}"),
       "plan.yaml:3:22: ramp: is 0 throughout; write idle: DURATION."},
      {WithPhase("{phase: a, steps: {from: 1/s, to: 10/s, by: 2/s, each: 1s}}"),
       "plan.yaml:3:39: to: steps of 2/s from 1/s do not meet 10/s. Write to: 9/s or to: 11/s."},
      {WithPhase("{phase: a, steps: {from: 1/s, to: 10/s, by: 0/s, each: 1s}}"),
       "plan.yaml:3:49: by: is 0; a step has a height."},
      {WithPhase("{phase: a, steps: {from: 0/s, to: 1000/s, by: 1/s, each: 1s}}"),
       "plan.yaml:3:23: steps: 1001 steps; at most 1000."},
      {WithPhase("{phase: a, steps: {from: 1/s, to: 10/s, by: 1/s, each: 3h}}"),
       "plan.yaml:3:23: steps: they last 30h; a phase lasts at most 24h."},
      {WithPhase("{phase: a, steps: {from: 1/s, to: 10/s, by: 1/s, each: 1s}, duration: 10s}"),
       "plan.yaml:3:65: duration: does not go with steps: a staircase lasts as long as its steps."},
      {WithPhase("{phase: a, sine: {mean: 1/s, amplitude: 2/s, period: 1s}, duration: 1s}"),
       "plan.yaml:3:45: amplitude: 2/s is more than the mean (1/s), the rate would fall below 0."},
      {WithPhase("{phase: a, sine: {mean: 1/s, amplitude: 1/s, period: 1s}, duration: 1h}"),
       "plan.yaml:3:58: period: 1s gives more than 256 waves in 1h; split the phase or take a "
       "longer period."},
      {WithPhase("{phase: a, replay: {file: a.csv, speed: 0}}"),
       "plan.yaml:3:45: speed: \"0\" is not a speed. Write 2, 0.5 or 1/3, at most 9 decimals."},
      {WithPhase("{phase: a, idle: 1s}"),
       "plan.yaml:3:5: load: every phase is idle; nothing is sent."},
      {WithPhase("{phase: a, idle: 1s, mix: {web: 100%}}"),
       "plan.yaml:3:26: mix: does not go with idle: an idle phase sends nothing."},
      {WithPhase("{phase: a, rate: 1/s, duration: 1s, targets: [wbe]}"),
       "plan.yaml:3:51: targets: no target is called \"wbe\". Did you mean \"web\"?"},
      {WithPhase("{phase: a, rate: 1/s, duration: 1s, targets: [web, web]}"),
       "plan.yaml:3:56: targets: \"web\" stands twice."},
      {WithPhase("{phase: a, rate: 1/s, duration: 1s, mix: {web: 60%, two: 30%}}"),
       "plan.yaml:3:46: mix: the shares sum to 90%, not 100%; for thirds give the targets a "
       "weight: instead."},
      {WithPhase("{phase: a, rate: 1/s, duration: 1s, mix: {web: 60, two: 40}}"),
       "plan.yaml:3:52: web: \"60\" is not a percentage. Write 60%."},
      {WithPhase("{phase: a, rate: 1/s, duration: 1s, mix: {web: 100%}, targets: [web]}"),
       "plan.yaml:3:41: mix: names the targets itself; leave targets: out."},
      {WithPhase("{phase: a, rates: {web: 9000000/s, two: 9000000/s}, duration: 1s}"),
       "plan.yaml:3:23: rates: 18000000/s in all is more than 10000000/s."},
      {WithPhase("{phase: a, rates: {webb: 1/s}, duration: 1s}"),
       "plan.yaml:3:24: rates: no target is called \"webb\". Did you mean \"web\"?"},
      {WithPhase("{phase: a, rate: 150% of g, duration: 1s}"),
       "plan.yaml:3:22: rate: \"g\" is not a search phase before this one."},
      {WithPhase("{phase: a, rate: 150%, duration: 1s}"),
       "plan.yaml:3:22: rate: \"150%\" is not a rate. Write 100/s or 150% of <search phase>."},
      {WithPhase("{phase: a, rate: 1/s, duration: 1s, arrivals: random}"),
       "plan.yaml:3:51: arrivals: \"random\" is unknown; allowed are uniform or poisson."},
      {WithPhase("{phase: a, search: {from: 9/s, to: 5/s, until: [p99 > 1s]}}"),
       "plan.yaml:3:31: from: must be more than 0/s and less than to:."},
      {WithPhase("{phase: a, search: {from: 1/s, to: 5/s, until: [p99 > 1s in b]}}"),
       "plan.yaml:3:53: until: \"p99 > 1s in b\" names a phase; it is judged in its own search."},
      {WithPhase("{phase: a, search: {from: 1/s, to: 5/s, hold: 1s, until: [p99 > 2s]}}"),
       "plan.yaml:3:63: until: \"p99 > 2s\": cannot be decided: a trial is held for 1s only. Lower "
       "the bound, or raise hold:."},
      {"targets: {w: {url: \"http://h\"}}\nload: {phase: a}\n",
       "plan.yaml:2:7: load: expected a list, found a map."},
  });
}

TEST(PlanErrors, Rules) {
  const std::vector<std::pair<std::string, std::string>> rules = {
      {"", "plan.yaml:5:7: slo: a rule is missing. Write p99 < 50ms."},
      {"p99",
       "plan.yaml:5:7: slo: \"p99\" is not a rule: after the metric stands <, <=, > or >=, it "
       "ends."},
      {"p99 < ", "plan.yaml:5:7: slo: \"p99 < \" is not a rule: the value is missing."},
      {"p99 = 1s",
       "plan.yaml:5:7: slo: \"p99 = 1s\" is not a rule: after the metric stands <, <=, > or >=, it "
       "has \"=\"."},
      {"p99 < 1",
       "plan.yaml:5:7: slo: \"p99 < 1\" is not a rule: \"1\" is not a duration. Write 1s or 1ms."},
      {"p99 < 1%",
       "plan.yaml:5:7: slo: \"p99 < 1%\" is not a rule: \"1%\" is not a duration. Write 250ms, "
       "1.5s, 10m or 1h30m."},
      {"p10 < 1s",
       "plan.yaml:5:7: slo: \"p10 < 1s\" is not a rule: \"p10\" is out of range; percentiles are "
       "p50 … p99.99."},
      {"p99.999 < 1s",
       "plan.yaml:5:7: slo: \"p99.999 < 1s\" is not a rule: \"p99.999\" is out of range; "
       "percentiles are p50 … p99.99."},
      {"latncy.p99 < 1s",
       "plan.yaml:5:7: slo: \"latncy.p99 < 1s\" is not a rule: \"latncy\" is not a measure. Did "
       "you mean \"latency\"?"},
      {"eror_rate < 1%",
       "plan.yaml:5:7: slo: \"eror_rate < 1%\" is not a rule: \"eror_rate\" is not a metric. Did "
       "you mean \"error_rate\"?"},
      {"error_rate < 0.01",
       "plan.yaml:5:7: slo: \"error_rate < 0.01\" is not a rule: \"0.01\" is not a percentage. "
       "Write 0.01% or 1%."},
      {"error_rate < 101%",
       "plan.yaml:5:7: slo: \"error_rate < 101%\" is not a rule: \"101%\" is more than 100%."},
      {"ok_rate > 98%",
       "plan.yaml:5:7: slo: \"ok_rate > 98%\" is not a rule: a share here is of the offered rate: "
       "write \"98% of offered\"."},
      {"ok_rate > many",
       "plan.yaml:5:7: slo: \"ok_rate > many\" is not a rule: \"many\" is neither a rate (900/s) "
       "nor a share (98% of offered)."},
      {"first rejection",
       "plan.yaml:5:7: slo: \"first rejection\" only stops; write reject_rate <= 0%."},
      {"first reject",
       "plan.yaml:5:7: slo: \"first reject\" is not a rule: after \"first\" stands \"rejection\"."},
      {"p99 < 1s on",
       "plan.yaml:5:7: slo: \"p99 < 1s on\" is not a rule: a name is missing at the end."},
      {"p99 < 1s on wbe",
       "plan.yaml:5:7: slo: \"p99 < 1s on wbe\": no target is called \"wbe\". Did you mean "
       "\"web\"?"},
      {"p99 < 1s in b",
       "plan.yaml:5:7: slo: \"p99 < 1s in b\": no phase is called \"b\". Phases are a."},
      {"p99 < 1s in a[0]",
       "plan.yaml:5:7: slo: \"p99 < 1s in a[0]\": phase \"a\" has no steps; leave the [ ] out."},
      {"p99 < 1s in a in a",
       "plan.yaml:5:7: slo: \"p99 < 1s in a in a\" is not a rule: \"in\" stands twice; join phases "
       "by +: in a+b."},
      {"p99 < 1s at a",
       "plan.yaml:5:7: slo: \"p99 < 1s at a\" is not a rule: after the value stands on TARGET, in "
       "PHASE, over DURATION or for DURATION, it has \"at\"."},
      {"p99 < 1s over 5",
       "plan.yaml:5:7: slo: \"p99 < 1s over 5\" is not a rule: \"5\" is not a duration. Write 5s "
       "or 5ms."},
      {"p99 < 1s over 5s for 5s",
       "plan.yaml:5:7: slo: \"p99 < 1s over 5s for 5s\" is not a rule: it has two windows."},
      {"p99 < 1s over 10ms",
       "plan.yaml:5:7: slo: \"p99 < 1s over 10ms\": the window (10ms) is shorter than an interval "
       "(1s)."},
      {"p99 < 1s over 11s",
       "plan.yaml:5:7: slo: \"p99 < 1s over 11s\": cannot be decided: the window (11s) is longer "
       "than the phases that it covers (10s in all)."},
      {"p99 < 1s for 0 intervals",
       "plan.yaml:5:7: slo: \"p99 < 1s for 0 intervals\" is not a rule: \"for N intervals\" has N "
       "from 1 to 100000."},
      {"p99 < 20s",
       "plan.yaml:5:7: slo: \"p99 < 20s\": cannot be decided: nothing is waited for longer than "
       "the timeout (10s). Lower the bound, or raise limits: timeout above 20s."},
      {"max < 0s", "plan.yaml:5:7: slo: \"max < 0s\": the bound is 0."},
  };
  for (const auto& [rule, message] : rules)
    EXPECT_EQ(ErrorOf(WithLine("slo: [\"" + rule + "\"]")), message) << rule;
}

TEST(PlanErrors, TheRest) {
  Check({
      {WithLine("limits: {in_flight: 0}"),
       "plan.yaml:5:21: in_flight: \"0\" is not a limit. Write 512, 512/agent or \"4096 total\", "
       "from 1 to 1000000."},
      {WithLine("limits: {in_flight: 10/host}"),
       "plan.yaml:5:21: in_flight: \"10/host\" is not a limit. Write 512, 512/agent or \"4096 "
       "total\", from 1 to 1000000."},
      {WithLine("limits: {timeout: 0s}"),
       "plan.yaml:5:19: timeout: 0s is out of range; allowed are 1ms … 1h."},
      {WithLine("limits: {timeout: {total: 1s, idle: 2s}}"),
       "plan.yaml:5:31: idle: 2s is longer than total (1s)."},
      {WithLine("agents: {min: 3, max: 2}"), "plan.yaml:5:18: max: 2 is less than min (3)."},
      {WithLine("agents: {on_loss: retry}"),
       "plan.yaml:5:19: on_loss: \"retry\" is unknown; allowed are replace, continue or fail."},
      {WithLine("backlog: drop"),
       "plan.yaml:5:10: backlog: \"drop\" is unknown; allowed are send-late or skip."},
      {WithLine("interval: 2s"),
       "plan.yaml:5:11: interval: 2s is out of range; allowed are 50ms … 1s."},
      {WithLine("seed: -1"),
       "plan.yaml:5:7: seed: expected a whole number below 2^64, found \"-1\"."},
      {WithLine("record: {requests: some}"),
       "plan.yaml:5:20: requests: \"some\" is unknown; allowed are all, none, 1% or slowest 1%."},
      {WithLine("observe: [{scrape: \"http://h\", prometheus: \"http://h\"}]"),
       "plan.yaml:5:11: observe: write exactly one of scrape and prometheus."},
      {WithLine("validity: {lag_p99: soon}"),
       "plan.yaml:5:21: validity: lag_p99: \"soon\" is not a threshold. Write 10ms, 1%, 0.9 or "
       "off."},
      {WithLine("keep: all"), "plan.yaml:5:7: keep: \"all\" is unknown; allowed are thin or raw."},
      {WithLine("files: {a: b}"),
       "plan.yaml:5:12: files: \"b\" is not a SHA-256 in lower-case hex."},
      {WithLine("slo: {p99: 1s}"), "plan.yaml:5:6: slo: expected a list, found a map."},
  });
}

TEST(PlanErrors, Overrides) {
  const std::vector<std::pair<std::string, std::string>> overrides = {
      {"load.a.rate=10k",
       "--set load.a.rate=10k: rate: \"10k\" is not a rate. Write 10000/s or 600000/min."},
      {"load.a.rat=10/s", "--set load.a.rat=10/s: unknown key \"rat\". Did you mean \"rate\"?"},
      {"load.b.rate=10/s", "--set load.b.rate=10/s: load has no \"b\". Known here are a."},
      {"load", "--set load: is not KEY=VALUE. Write --set load.PHASE.rate=2000/s."},
      {"=3", "--set =3: is not KEY=VALUE. Write --set load.PHASE.rate=2000/s."},
      {"name.x=3", "--set name.x=3: name: expected text, found a map."},
      {"slo=[", "--set slo=[: this is not YAML (end of sequence flow not found): " + kQuote},
      {"load.a.rate=", "--set load.a.rate=: rate: has no value."},
      {"targets.web.url=h",
       "--set targets.web.url=h: url: \"h\" is not a URL: it has no scheme. Write "
       "http://HOST:PORT/PATH."},
  };
  for (const auto& [text, message] : overrides) {
    ParseOptions options;
    options.overrides = {text};
    EXPECT_EQ(ErrorOf(kSmall, options), message) << text;
  }
}

TEST(PlanErrors, StepsAndClosedLoopsInRules) {
  ParseOptions options;
  options.only_built_features = false;
  const std::string text =
      "targets: {x: {url: \"http://h\"}, y: {url: \"http://h\"}}\nload:\n"
      "  - {phase: c, steps: {from: 1/s, to: 3/s, by: 1/s, each: 1s}, targets: [x]}\n"
      "  - {phase: i, idle: 1s}\n"
      "  - {phase: f, concurrency: 2, duration: 9s}\n"
      "  - {phase: g, search: {from: 1/s, to: 3/s, until: [first rejection]}}\nslo:\n  - ";
  EXPECT_EQ(ErrorOf(text + "p99 < 1s in c[1..3]", options),
            "plan.yaml:8:5: slo: \"p99 < 1s in c[1..3]\": phase \"c\" has the steps c[0..2].");
  EXPECT_EQ(ErrorOf(text + "p99 < 1s in c[2]", options), "no error");
  EXPECT_EQ(ErrorOf(text + "p99 < 1s in c on y", options),
            "plan.yaml:8:5: slo: \"p99 < 1s in c on y\": phase \"c\" sends nothing to \"y\".");
  EXPECT_EQ(ErrorOf(text + "p99 < 1s in i", options),
            "plan.yaml:8:5: slo: \"p99 < 1s in i\": phase \"i\" is idle and has nothing to judge.");
  EXPECT_EQ(ErrorOf(text + "achieved > 99% of offered in f", options),
            "plan.yaml:8:5: slo: \"achieved > 99% of offered in f\": phase \"f\" is a closed loop, "
            "which has no offered rate; name other phases: in PHASE.");
  EXPECT_EQ(ErrorOf(text + "p99 < 1s\narrivals: uniform", options), "no error");
}

}  // namespace
}  // namespace broadside::plan
