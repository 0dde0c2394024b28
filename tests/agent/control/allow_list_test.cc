#include "agent/control/allow_list.h"

#include <gtest/gtest.h>

namespace broadside::agent {
namespace {

Status Check(const std::vector<std::string>& entries, const std::string& host, uint16_t port) {
  const auto list = AllowList::Make(entries);
  if (!list.ok()) return list.status();
  // Names are not looked up in tests: only those that the list itself names can be allowed.
  const bool literal = host.find_first_not_of("0123456789abcdef.:") == std::string::npos;
  const auto addresses = literal ? *ResolveHost(host, port) : std::vector<Address>();
  return list->Check(host, port, addresses);
}

TEST(AllowList, AllowsLoopbackAloneByDefault) {
  EXPECT_TRUE(Check({}, "127.0.0.1", 8000).ok());
  EXPECT_TRUE(Check({}, "127.9.9.9", 1).ok());
  EXPECT_TRUE(Check({}, "::1", 8000).ok());
  EXPECT_EQ(
      MessageOf(Check({}, "169.254.169.254", 80)),
      "target 169.254.169.254:80 is not in its allow list (127.0.0.0/8, ::1); start the agent with "
      "--allow 169.254.169.254:80 if it may be fired at");
  // The IPv4 address inside an IPv6 one is the same host.
  EXPECT_TRUE(Check({}, "::ffff:127.0.0.1", 80).ok());
  EXPECT_FALSE(Check({}, "::ffff:10.0.0.1", 80).ok());
}

TEST(AllowList, MatchesNetworksPortsAndNames) {
  const std::vector<std::string> list{"10.1.0.0/16:8000-8001", "[fd00::]/8", "triton.lab:8000",
                                      "192.0.2.7"};
  EXPECT_TRUE(Check(list, "10.1.200.3", 8000).ok());
  EXPECT_TRUE(Check(list, "10.1.200.3", 8001).ok());
  EXPECT_FALSE(Check(list, "10.1.200.3", 8002).ok());
  EXPECT_FALSE(Check(list, "10.2.0.1", 8000).ok());
  EXPECT_TRUE(Check(list, "fd12::1", 443).ok());
  EXPECT_FALSE(Check(list, "fe80::1", 443).ok());
  EXPECT_TRUE(Check(list, "Triton.LAB", 8000).ok());
  EXPECT_TRUE(Check(list, "192.0.2.7", 1).ok());
  EXPECT_FALSE(Check(list, "127.0.0.1", 8000).ok());
}

TEST(AllowList, EveryAddressOfANameMustBeAllowed) {
  const auto list = AllowList::Make({"127.0.0.0/8"});
  const Address good = ResolveHost("127.0.0.1", 80)->at(0);
  const Address bad = ResolveHost("10.0.0.1", 80)->at(0);
  EXPECT_TRUE(list->Check("both", 80, {good}).ok());
  EXPECT_FALSE(list->Check("both", 80, {good, bad}).ok());
  EXPECT_FALSE(list->Check("none", 80, {}).ok());
}

TEST(Resolver, UsesWhatWasCheckedAndNothingElse) {
  int asked = 0;
  Resolver resolver([&asked](const std::string& host, uint16_t, const std::vector<Address>& found) {
    ++asked;
    EXPECT_EQ(found.size(), 1u);
    return host == "127.0.0.1" ? Status() : PermissionDenied("no");
  });
  ASSERT_TRUE(resolver.Resolve("127.0.0.1", 80).ok());
  ASSERT_TRUE(resolver.Resolve("127.0.0.1", 80).ok());
  EXPECT_EQ(asked, 1);
  EXPECT_EQ(MessageOf(resolver.Resolve("127.0.0.2", 80).status()), "no");
  EXPECT_EQ(MessageOf(resolver.Resolve("127.0.0.2", 80).status()), "no");
  EXPECT_EQ(asked, 3);
}

TEST(AllowList, MasksBitsThatAreNoWholeByte) {
  EXPECT_TRUE(Check({"10.128.0.0/9"}, "10.200.0.1", 80).ok());
  EXPECT_FALSE(Check({"10.128.0.0/9"}, "10.127.255.255", 80).ok());
  EXPECT_TRUE(Check({"0.0.0.0/0"}, "203.0.113.9", 80).ok());
}

TEST(AllowList, NamesTheBadEntry) {
  for (const char* bad :
       {"", "10.0.0.0/33", "host:99999", "host:9-3", "a/b", "[::1", "10.0.0.1:x", "host/8"}) {
    const Status status = AllowList::Make({bad}).status();
    EXPECT_EQ(MessageOf(status),
              "--allow \"" + std::string(bad) +
                  "\" is not HOST, IP or CIDR with an optional :PORT or :PORT-PORT. Write "
                  "10.0.0.0/8, triton.lab:8000-8001 or [fd00::]/8");
  }
}

}  // namespace
}  // namespace broadside::agent
