#include "common/rpc/write_queue.h"

#include <gtest/gtest.h>

namespace broadside::rpc {
namespace {

struct Message {
  int id = 0;
  size_t size = 1;
  size_t ByteSizeLong() const { return size; }
};

TEST(WriteQueue, GivesOneAtATimeInOrder) {
  WriteQueue<Message> queue(100);
  EXPECT_EQ(queue.StartNext(), nullptr);
  ASSERT_TRUE(queue.Push({.id = 1}));
  ASSERT_TRUE(queue.Push({.id = 2}));
  const Message* first = queue.StartNext();
  ASSERT_NE(first, nullptr);
  ASSERT_TRUE(queue.Push({.id = 3}));
  EXPECT_EQ(queue.StartNext(), nullptr);  // the first is still being written
  EXPECT_EQ(first->id, 1);
  queue.Written();
  EXPECT_EQ(queue.StartNext()->id, 2);
  queue.Written();
  EXPECT_EQ(queue.StartNext()->id, 3);
  queue.Written();
  EXPECT_EQ(queue.StartNext(), nullptr);
}

TEST(WriteQueue, TakesNoMoreThanItsBytes) {
  WriteQueue<Message> queue(10);
  EXPECT_TRUE(queue.Push({.id = 1, .size = 6}));
  EXPECT_FALSE(queue.Push({.id = 2, .size = 5}));
  EXPECT_TRUE(queue.Push({.id = 3, .size = 4}));
  ASSERT_NE(queue.StartNext(), nullptr);
  EXPECT_FALSE(queue.Push({.id = 4, .size = 1}));  // what is being written still counts
  queue.Written();
  EXPECT_TRUE(queue.Push({.id = 5, .size = 6}));
  EXPECT_EQ(queue.StartNext()->id, 3);
}

}  // namespace
}  // namespace broadside::rpc
