// What the JavaScript implementation makes of our histograms; the files are those of HdrOracle.java.
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import hdr from "hdr-histogram-js";

// Its default buckets hold 32 bits and would wrap.
const layout = {
  bitBucketSize: 64,
  autoResize: false,
  lowestDiscernibleValue: 1,
  highestTrackableValue: 3_600_000_000_000,
  numberOfSignificantValueDigits: 3,
};

function record(text) {
  const histogram = hdr.build(layout);
  for (const line of text.split("\n").filter(Boolean)) {
    const [value, count] = line.split(" ").map(Number);
    histogram.recordValueWithCount(value, count);
  }
  return histogram;
}

function writeLog(histogram) {
  let text = "";
  const log = new hdr.HistogramLogWriter((piece) => (text += piece));
  log.outputLogFormatVersion();
  log.outputStartTime(1_700_000_000_000);
  log.baseTime = 1_700_000_000_000;
  log.outputLegend();
  histogram.tag = "oracle";
  histogram.startTimeStampMsec = 1_700_000_001_000;
  histogram.endTimeStampMsec = 1_700_000_002_500;
  log.outputIntervalHistogram(histogram);
  return text;
}

const directory = process.argv[2];
for (const file of readdirSync(directory)) {
  const path = join(directory, file);
  if (file.endsWith(".values")) {
    const histogram = record(readFileSync(path, "utf8"));
    const stem = path.slice(0, -".values".length);
    writeFileSync(stem + ".theirs", hdr.encodeIntoCompressedBase64(histogram));
    writeFileSync(stem + ".hlog", writeLog(histogram));
  } else if (file.endsWith(".ours")) {
    const histogram = hdr.decodeFromCompressedBase64(readFileSync(path, "utf8").trim(), 64);
    const percentiles = [50, 90, 99, 99.9].map((p) => histogram.getValueAtPercentile(p));
    const numbers = [histogram.totalCount, histogram.maxValue, ...percentiles];
    writeFileSync(path.slice(0, -".ours".length) + ".read", numbers.join(" ") + "\n");
  }
}
