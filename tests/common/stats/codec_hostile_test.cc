#include <gtest/gtest.h>
#include <zlib.h>

#include <random>

#include "common/stats/codec.h"
#include "common/stats/packed.h"

/// The decoder takes bytes from anywhere. Here: it answers with an error or a histogram that makes
/// sense, whatever comes. The sanitizer builds watch it do so.
namespace broadside::stats {
namespace {

Histogram Draw(std::mt19937_64& random, size_t count) {
  Histogram histogram;
  for (size_t i = 0; i < count; ++i) {
    const auto bits = static_cast<int>(random() % 43);
    histogram.Record(static_cast<int64_t>(random() % (uint64_t{1} << bits | 1)), 1 + random() % 5);
  }
  return histogram;
}

std::string Compressed(const std::string& plain) {
  uLongf size = compressBound(plain.size());
  std::string body(size, '\0');
  EXPECT_EQ(compress(reinterpret_cast<Bytef*>(body.data()), &size,
                     reinterpret_cast<const Bytef*>(plain.data()), plain.size()),
            Z_OK);
  body.resize(size);
  std::string out = "\x1c\x84\x93\x14";
  for (int shift = 24; shift >= 0; shift -= 8) out.push_back(static_cast<char>(size >> shift));
  return out + body;
}

/// A whole V2 form around any payload.
std::string WithHeader(const std::string& payload) {
  std::string bytes = EncodeV2(Histogram()).substr(0, 40);
  for (size_t i = 0; i < 4; ++i) {
    bytes[4 + i] = static_cast<char>(payload.size() >> (24 - 8 * i));
  }
  return bytes + payload;
}

std::string Message(const StatusOr<Histogram>& result) { return MessageOf(result.status()); }

TEST(Codec, DecodeOfEncodeIsTheIdentity) {
  std::mt19937_64 random(1);
  for (int round = 0; round < 200; ++round) {
    const Histogram histogram = Draw(random, random() % 300);
    Histogram decoded;
    ASSERT_TRUE(DecodeCounts(EncodeCounts(histogram), histogram.exact(), decoded).ok());
    EXPECT_EQ(decoded, histogram);
    for (const std::string& bytes : {EncodeV2(histogram), EncodeV2Compressed(histogram)}) {
      const auto v2 = DecodeV2(bytes);
      ASSERT_TRUE(v2.ok()) << v2.status();
      EXPECT_EQ(EncodeCounts(*v2), EncodeCounts(histogram));
      EXPECT_EQ(EncodeV2(*v2), EncodeV2(histogram));
    }
  }
}

TEST(Codec, DecodingAddsToWhatIsThere) {
  std::mt19937_64 random(2);
  const Histogram a = Draw(random, 100), b = Draw(random, 100);
  Histogram sum = a, decoded = a;
  sum.Add(b);
  ASSERT_TRUE(DecodeCounts(EncodeCounts(b), b.exact(), decoded).ok());
  EXPECT_EQ(decoded, sum);
}

TEST(Codec, SlotListsAreTheSameCounts) {
  std::mt19937_64 random(12);
  for (int round = 0; round < 50; ++round) {
    const Histogram histogram = Draw(random, random() % 60);
    const auto slots = DecodeSlots(EncodeCounts(histogram), histogram.exact());
    ASSERT_TRUE(slots.ok()) << slots.status();
    EXPECT_EQ(EncodeSlots(*slots), EncodeCounts(histogram));
    for (const SlotCount& used : *slots) EXPECT_EQ(used.count, histogram.CountAt(used.slot));
  }
}

TEST(PackedHistogram, SumsAsTheUnpackedFormDoes) {
  std::mt19937_64 random(13);
  for (int round = 0; round < 20; ++round) {
    PackedHistogram packed;
    Histogram plain;
    EXPECT_EQ(packed.Unpack(), plain);
    for (int part = 0; part < 8; ++part) {
      const Histogram piece = Draw(random, random() % 30);
      packed.Add(*DecodeSlots(EncodeCounts(piece), piece.exact()), piece.exact());
      plain.Add(piece);
      EXPECT_EQ(packed.Unpack(), plain);
      EXPECT_EQ(packed.exact(), plain.exact());
    }
  }
}

TEST(Codec, LargeCountsUseAllNineBytes) {
  Histogram histogram;
  histogram.AddSlot(7, (uint64_t{1} << 56) - 1);
  Histogram decoded;
  ASSERT_TRUE(DecodeCounts(EncodeCounts(histogram), decoded).ok());
  EXPECT_EQ(decoded.CountAt(7), (uint64_t{1} << 56) - 1);
  histogram.AddSlot(7, uint64_t{1} << 61);
  Histogram refused;
  const Status status = DecodeCounts(EncodeCounts(histogram), refused);
  EXPECT_EQ(MessageOf(status), "histogram counts, byte 1: the counts sum up to more than 2^56");
  EXPECT_EQ(refused, Histogram());
}

TEST(Codec, NamesWhatIsWrongAndAtWhichByte) {
  const auto message = [](const std::string& bytes) {
    Histogram histogram;
    histogram.Record(3);
    const Histogram before = histogram;
    const Status status = DecodeCounts(bytes, histogram);
    EXPECT_EQ(histogram, before) << "a refused message must not change anything";
    return MessageOf(status);
  };
  EXPECT_EQ(message("\x02\x02\xff"), "histogram counts, byte 2: the data ends inside a number");
  EXPECT_EQ(
      message(std::string("\x02") + std::string(9, '\xff')),
      "histogram counts, byte 1: a run of zeros goes past the last of 33792 slots; the layouts "
      "differ or the data is damaged");
  EXPECT_EQ(message(std::string(kSlots + 1, '\x02')),
            "histogram counts, byte 33792: more than 33792 slots");
  EXPECT_EQ(message(std::string(8, '\xfe') + "\x7f"),
            "histogram counts, byte 0: the counts sum up to more than 2^56");
}

TEST(Codec, ACountThatWouldOverflowIsRefusedAndChangesNothing) {
  Histogram full;
  full.AddSlot(0, UINT64_MAX - 1);
  const Histogram before = full;
  EXPECT_EQ(MessageOf(DecodeCounts("\x04", full)),
            "histogram counts, byte 0: the count overflows 64 bits");
  EXPECT_EQ(full, before);
}

TEST(Codec, ExactFiguresMustFitTheCounts) {
  Histogram histogram;
  for (const int64_t value : {5, 9, 2048}) histogram.Record(value);
  const std::string counts = EncodeCounts(histogram);
  const auto refuses = [&counts](const Exact& exact) {
    Histogram into;
    const bool refused = !DecodeCounts(counts, exact, into).ok();
    EXPECT_EQ(into == Histogram(), refused);
    return refused;
  };
  EXPECT_FALSE(refuses(histogram.exact()));
  const auto changed = [&histogram](auto change) {
    Exact exact = histogram.exact();
    change(exact);
    return exact;
  };
  EXPECT_TRUE(refuses(changed([](Exact& e) { ++e.n; })));
  EXPECT_TRUE(refuses(changed([](Exact& e) { e.min = 4; })));
  EXPECT_TRUE(refuses(changed([](Exact& e) { e.min = -5; })));
  EXPECT_TRUE(refuses(changed([](Exact& e) { e.max = 5000; })));
  EXPECT_TRUE(refuses(changed([](Exact& e) { e.sum = 3; })));
  EXPECT_TRUE(refuses(changed([](Exact& e) { e.sum = 3 * 2048 + 1; })));
  EXPECT_TRUE(refuses(changed([](Exact& e) { e.overflow = 1; })));
  EXPECT_FALSE(refuses(changed([](Exact& e) { e.max = 2049; }))) << "the same slot";
}

TEST(DecodeV2, RefusesEveryTruncation) {
  std::mt19937_64 random(3);
  const Histogram histogram = Draw(random, 50);
  for (const std::string& bytes : {EncodeV2(histogram), EncodeV2Compressed(histogram)}) {
    for (size_t length = 0; length < bytes.size(); ++length) {
      ASSERT_FALSE(DecodeV2(bytes.substr(0, length)).ok()) << length;
    }
    EXPECT_FALSE(DecodeV2(bytes + '\0').ok()) << "trailing byte";
  }
}

TEST(DecodeV2, SurvivesEveryBitFlip) {
  std::mt19937_64 random(4);
  const Histogram histogram = Draw(random, 40);
  for (const std::string& good : {EncodeV2(histogram), EncodeV2Compressed(histogram)}) {
    for (size_t bit = 0; bit < good.size() * 8; ++bit) {
      std::string bytes = good;
      bytes[bit / 8] = static_cast<char>(bytes[bit / 8] ^ (1 << bit % 8));
      const auto result = DecodeV2(bytes);
      if (!result.ok()) continue;
      uint64_t sum = 0;
      for (int32_t slot = 0; slot < result->slots_used(); ++slot) sum += result->CountAt(slot);
      ASSERT_EQ(result->n(), sum) << "bit " << bit;
    }
  }
}

TEST(DecodeV2, SurvivesRandomBytes) {
  std::mt19937_64 random(5);
  for (int round = 0; round < 20'000; ++round) {
    std::string bytes(random() % 80, '\0');
    for (char& byte : bytes) byte = static_cast<char>(random());
    EXPECT_FALSE(DecodeV2(bytes).ok());
    const auto payload = DecodeV2(WithHeader(bytes));
    if (payload.ok()) {
      EXPECT_LE(payload->slots_used(), kSlots);
    }
    (void)DecodeV2(Compressed(bytes));
    Histogram histogram;
    (void)DecodeCounts(bytes, histogram);
  }
}

TEST(DecodeV2, AnInflateBombIsCutAtTheLayoutsSize) {
  const std::string bomb = Compressed(std::string(50'000'000, '\0'));
  EXPECT_EQ(Message(DecodeV2(bomb)),
            "histogram: inflates to more than the 304168 bytes that its layout can need");
  // The largest body that the layout can need is read.
  Histogram full;
  for (int32_t slot = kSlots - 1; slot >= 0; --slot) full.AddSlot(slot, uint64_t{1} << 40);
  EXPECT_TRUE(DecodeV2(EncodeV2Compressed(full)).ok());
}

TEST(DecodeV2, MessagesOfTheHeader) {
  const std::string good = EncodeV2(Histogram());
  const auto with = [&good](size_t at, const std::string& piece) {
    std::string bytes = good;
    bytes.replace(at, piece.size(), piece);
    return Message(DecodeV2(bytes));
  };
  EXPECT_EQ(Message(DecodeV2("")), "histogram: 0 bytes are less than the header's 40");
  EXPECT_EQ(with(0, "abcd"), "histogram: does not start with the V2 cookie 1c849313");
  EXPECT_EQ(with(4, std::string("\0\0\0\x09", 4)),
            "histogram: the header says 9 bytes of counts, but 1 follow");
  EXPECT_EQ(with(4, "\xff\xff\xff\xff"),
            "histogram: the header says -1 bytes of counts, but 1 follow");
  EXPECT_EQ(with(15, "\x02"),
            "histogram: its layout (lowest 1, highest 3600000000000, digits 2) is not ours (1, "
            "3600000000000, 3)");
  EXPECT_EQ(with(33, "\xf8"), "histogram: holds scaled values; only integer histograms are read");
  EXPECT_EQ(with(11, "\x07"), "") << "the normalizing offset is ignored";
  EXPECT_EQ(with(24, std::string("\0\0\0\0\0\0\x10\0", 8)), "") << "highest moves no slot";
  EXPECT_EQ(Message(DecodeV2(std::string("\x1c\x84\x93\x14\0\0\0\x02zz", 10))),
            "histogram: the zlib data is damaged or cut");
}

TEST(Base64, RoundTripsAllLengths) {
  std::string bytes;
  for (int i = 0; i < 70; ++i) {
    const auto decoded = Base64Decode(Base64Encode(bytes));
    ASSERT_TRUE(decoded.ok()) << decoded.status();
    EXPECT_EQ(*decoded, bytes);
    bytes.push_back(static_cast<char>(i * 37));
  }
  EXPECT_EQ(Base64Encode("f"), "Zg==");
  EXPECT_EQ(Base64Encode("fo"), "Zm8=");
  EXPECT_EQ(Base64Encode("foobar"), "Zm9vYmFy");
}

TEST(Base64, RefusesWhatIsNotBase64) {
  EXPECT_EQ(MessageOf(Base64Decode("Zm9").status()), "base64: 3 characters are no multiple of 4");
  EXPECT_EQ(MessageOf(Base64Decode("Zm 9").status()), "base64: bad character at position 3");
  EXPECT_FALSE(Base64Decode("====").ok());
  EXPECT_FALSE(Base64Decode("Zg==Zg==").ok());
}

}  // namespace
}  // namespace broadside::stats
