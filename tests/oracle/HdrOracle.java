import java.io.IOException;
import java.io.PrintStream;
import java.nio.ByteBuffer;
import java.nio.file.DirectoryStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.Paths;
import java.util.Base64;
import java.util.zip.Deflater;
import org.HdrHistogram.Histogram;
import org.HdrHistogram.HistogramLogWriter;

/**
 * What the reference implementation makes of our histograms. For each NAME.values ("value count" a
 * line) in the directory given: NAME.theirs (its own V2 encoding in base64), NAME.hlog (a log of
 * one interval); for each NAME.ours (our encoding in base64): NAME.read ("n max p50 p90 p99 p99.9").
 */
public class HdrOracle {
  private static final long HIGHEST = 3_600_000_000_000L;

  private static Histogram record(Path values) throws IOException {
    Histogram histogram = new Histogram(1, HIGHEST, 3);
    for (String line : Files.readAllLines(values)) {
      String[] fields = line.split(" ");
      histogram.recordValueWithCount(Long.parseLong(fields[0]), Long.parseLong(fields[1]));
    }
    return histogram;
  }

  private static String encode(Histogram histogram) {
    ByteBuffer buffer = ByteBuffer.allocate(histogram.getNeededByteBufferCapacity());
    int length =
        histogram.encodeIntoCompressedByteBuffer(buffer, Deflater.DEFAULT_COMPRESSION);
    byte[] bytes = new byte[length];
    buffer.flip();
    buffer.get(bytes, 0, length);
    return Base64.getEncoder().encodeToString(bytes);
  }

  private static String describe(Histogram h) {
    return h.getTotalCount() + " " + h.getMaxValue() + " " + h.getValueAtPercentile(50.0) + " "
        + h.getValueAtPercentile(90.0) + " " + h.getValueAtPercentile(99.0) + " "
        + h.getValueAtPercentile(99.9) + "\n";
  }

  private static void writeLog(Path path, Histogram histogram) throws IOException {
    try (PrintStream out = new PrintStream(path.toFile())) {
      HistogramLogWriter log = new HistogramLogWriter(out);
      log.outputLogFormatVersion();
      log.outputStartTime(1_700_000_000_000L);
      log.setBaseTime(1_700_000_000_000L);
      log.outputLegend();
      histogram.setTag("oracle");
      histogram.setStartTimeStamp(1_700_000_001_000L);
      histogram.setEndTimeStamp(1_700_000_002_500L);
      log.outputIntervalHistogram(histogram);
    }
  }

  public static void main(String[] args) throws Exception {
    Path directory = Paths.get(args[0]);
    try (DirectoryStream<Path> files = Files.newDirectoryStream(directory)) {
      for (Path file : files) {
        String name = file.getFileName().toString();
        if (name.endsWith(".values")) {
          String stem = name.substring(0, name.length() - ".values".length());
          Histogram histogram = record(file);
          Files.writeString(directory.resolve(stem + ".theirs"), encode(histogram));
          writeLog(directory.resolve(stem + ".hlog"), histogram);
        } else if (name.endsWith(".ours")) {
          String stem = name.substring(0, name.length() - ".ours".length());
          byte[] bytes = Base64.getDecoder().decode(Files.readString(file).trim());
          Histogram histogram =
              Histogram.decodeFromCompressedByteBuffer(ByteBuffer.wrap(bytes), HIGHEST);
          Files.writeString(directory.resolve(stem + ".read"), describe(histogram));
        }
      }
    }
  }
}
