# The front door: every target says what it does, can be run again, and fails with one clear line.
.PHONY: help setup build demo test bench soak test-peers clean

help:
	@echo "make setup       install what building and testing need (Debian 12; root or sudo)"
	@echo "make build       configure and build the release programs into build/release/bin (offline)"
	@echo "make demo        setup, build, then three agents against a scripted server, with a report"
	@echo "make test        setup, build, all tests, and the pure ones again under sanitizers"
	@echo "make test-peers  only the tests beside other people's software (Triton, Prometheus, HDR)"
	@echo "make bench       benchmarks, and 60 s of each accuracy test"
	@echo "make soak        a long run with stalls, and simulated seeds without end (SOAK_MINUTES=10)"

setup:
	@scripts/setup.sh all

build:
	@scripts/build.sh release

demo:
	@scripts/demo.sh

test:
	@scripts/test.sh

test-peers:
	@scripts/test.sh peers

bench:
	@scripts/bench.sh

soak:
	@scripts/soak.sh

clean:
	rm -rf build
