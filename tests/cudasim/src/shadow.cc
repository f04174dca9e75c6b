#include "shadow.h"

#include <algorithm>

#include "memory.h"

namespace cudasim {

void Shadow::reserve(u8* memory, size_t bytes) {
  base = u64(memory);
  const size_t words = bytes / 4;
  writer = static_cast<Record*>(cudasim::reserve(words * sizeof(Record)));
  reader = static_cast<Record*>(cudasim::reserve(words * sizeof(Record)));
  writer_pc = static_cast<u32*>(cudasim::reserve(words * sizeof(u32)));
  reader_pc = static_cast<u32*>(cudasim::reserve(words * sizeof(u32)));
}

void Shadow::clear(size_t word, size_t words) {
  if (splits.size() > 1 + free_splits.size())
    for (size_t w = word; w < word + words; ++w) drop_split(w);
  release_pages(writer + word, words * sizeof(Record));
  release_pages(reader + word, words * sizeof(Record));
}

void Shadow::drop_split(size_t word) {
  if (!is_split(writer[word])) return;
  free_splits.push_back(u32(writer[word]));
  writer[word] = 0;
}

ByteRecords& Shadow::split(size_t word) {
  Record& w = writer[word];
  if (is_split(w)) return splits[u32(w)];
  u32 index;
  if (free_splits.empty()) {
    index = u32(splits.size());
    splits.emplace_back();
  } else {
    index = free_splits.back();
    free_splits.pop_back();
  }
  ByteRecords& bytes = splits[index];
  auto of_byte = [](Record r, int byte) { // whole words are by one thread, others by neighbours
    const int owner = r < 0 ? 0 : r & kHalves ? byte / 2 : r & kQuarters ? byte : 0;
    return r < 0 ? r : (r & ~s64(kHalves | kQuarters)) + owner;
  };
  for (int byte = 0; byte < 4; ++byte) {
    bytes.writer[byte] = of_byte(w, byte);
    bytes.reader[byte] = of_byte(reader[word], byte);
    bytes.writer_pc[byte] = writer_pc[word];
    bytes.reader_pc[byte] = reader_pc[word];
  }
  w = kSplit | index;
  return bytes;
}

void Shadow::set(size_t word, Record writer_record) {
  drop_split(word);
  writer[word] = writer_record;
  reader[word] = 0;
}

void Shadow::set_bytes(u64 address, size_t bytes, Record writer_record) {
  const u64 end = address + bytes;
  if (splits.size() == 1 + free_splits.size() && address % 4 == 0) { // no word is split
    const size_t words = bytes / 4;
    std::fill_n(writer + word_of(address), words, writer_record);
    address += words * 4;
  }
  while (address < end) {
    const size_t word = word_of(address);
    if (address % 4 == 0 && end - address >= 4) {
      set(word, writer_record);
      address += 4;
    } else {
      ByteRecords& records = split(word);
      records.writer[address % 4] = writer_record;
      records.reader[address % 4] = 0;
      address += 1;
    }
  }
}

Record Shadow::byte_writer(u64 address) const {
  const Record w = writer[word_of(address)];
  return is_split(w) ? splits[u32(w)].writer[address % 4] : w;
}

} // namespace cudasim
