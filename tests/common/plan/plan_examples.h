#pragma once

/// The whole grammar once, as the documentation shows it.
namespace broadside::plan {

inline const char kTargetsExample[] =
    R"(defaults: {protocol: kserve-grpc, url: grpc://triton.models.svc:8001}   # merged under every target
targets:
  resnet50:
    protocol: kserve-http
    url: http://triton.models.svc:8000
    model: resnet50                  # model_version: optional
    headers: {authorization: "Bearer ${secret:triton-token}"}
    tls: {ca: ca.pem, cert: c.pem, key: k.pem, server_name: x, insecure: false}
    input: auto
    weight: 3
    good: {ttft: 200ms, tpot: 40ms, latency: 10s}
    breaker: {rule: {file: destination-rule.yaml, name: resnet50}, via: sidecar, endpoints: 1, retries: off, expect: {trip.time: "<= 2s", ok_rate: ">= 900/s", open.time: off}}
    reuse: true                      # false: a fresh connection for each request
    connect_to: 10.0.0.7:8000
  app:
    model: m
    input: {auto: {batch: 8, shapes: {input: [3, 224, 224]}, data: random, string_length: 128}, encoding: binary}
    breaker: {open_for: 60s, opens_at: {errors: 50%, window: 100}, half_open_calls: 10, match: [{status: 200, json: /fallback, equals: true}]}
  chat:
    protocol: openai-chat
    url: http://vllm:8000
    model: llama
    input: {prompts: {file: sharegpt.jsonl, format: sharegpt, order: shuffle}, body: {max_tokens: 128, ignore_eos: true}}
  f: {model: m, input: {file: bert.json}}
  p: {model: m, input: {payload: body.bin}}
  c: {model: m, input: {config: config.pbtxt}}
  d: {model: m, input: {directory: tensors/}}
  from_vegeta: {targets: targets.txt, format: http}   # Vegeta's target files, round robin
load:
  - {phase: a, rate: 1/s, duration: 1s}
)";

inline const char kLoadExample[] =
    R"(targets: {x: {url: "http://h:1/"}, y: {url: "http://h:2/"}}
arrivals: uniform                    # the default; or poisson
seed: 7
load:
  - {phase: a, rate: 500/s, duration: 60s}
  - {phase: b, ramp: {from: 50/s, to: 1000/s}, duration: 60s}
  - {phase: c, steps: {from: 100/s, to: 500/s, by: 100/s, each: 30s}}
  - {phase: d, sine: {mean: 500/s, amplitude: 200/s, period: 60s}, duration: 10m}
  - {phase: e, replay: {file: arrivals.csv, speed: 1.0}}
  - {phase: f, concurrency: 32, duration: 60s}
  - {phase: g, search: {from: 100/s, to: 5000/s, until: [ok_rate < 98% of offered, p99 > 50ms, first rejection], settle: 5s, hold: 15s, confirm: 2, precision: 2%, max_steps: 20}}
  - {phase: h, idle: 30s}
  - {phase: i, rate: 150% of g, duration: 4m}
  - {phase: j, rate: 1/s, duration: 1s, measure: false, targets: [x], arrivals: poisson, each: targets}
  - {phase: k, rate: 1/s, duration: 1s, mix: {x: 60%, y: 40%}}
  - {phase: l, rates: {x: 300/s, y: 80% of g.y.held}, duration: 1s}
  - {phase: m, rate: 90% of g.peak, duration: 1s}
  - {phase: n, rate: 90% of g.failed, duration: 1s}
  - {phase: o, idle: auto}
)";

inline const char kRestExample[] =
    R"(name: resnet50-breaker
targets: {x: {url: "http://h:1/"}, chat: {url: "http://h:2/"}}
load:
  - {phase: a, rate: 500/s, duration: 60s}
  - {phase: b, rate: 500/s, duration: 60s}
  - {phase: c, steps: {from: 100/s, to: 500/s, by: 100/s, each: 30s}}
validity: {lag_p99: 10ms}
keep: raw
limits: {timeout: {total: 60s, first_token: 10s, idle: 5s}, in_flight: 512/agent, connections: 4096 total}
backlog: send-late
slo:    [p99 < 50ms in a+b, error_rate < 0.1%, "ttft.p95 < 200ms in c[1..3] on chat", good_share > 95%]
guards: [error_rate > 50% for 5s, p99 > 2s over 10s]
observe:
  - {scrape: "http://triton.models.svc:8002/metrics", as: triton, accept: guide-names}
  - {scrape: "http://127.0.0.1:15090/stats/prometheus", as: envoy, from: agents}
  - {prometheus: "http://prometheus:9090", query: 'sum(rate(nv_inference_request_failure[15s])) by (model, reason)'}
agents: {min: 3, max: 10, select: {zone: a}, wait: 60s, on_loss: replace, on_join: share}
record: {requests: 1%}
tags: {team: vision, build: "1234"}
stamp: true
interval: 1s
)";

inline const char* const kExamples[] = {kTargetsExample, kLoadExample, kRestExample};

}  // namespace broadside::plan
