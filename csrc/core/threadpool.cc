#include "core/threadpool.h"

#include <pthread.h>
#include <sched.h>
#include <stdlib.h>

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <exception>
#include <fstream>
#include <mutex>
#include <new>
#include <sstream>
#include <string>
#include <system_error>
#include <thread>
#include <vector>

#include "core/errors.h"
#include "core/fpenv.h"

namespace engine {
namespace {

// Who finds nothing to do first spins, then spins while letting others run, then sleeps: between two kernels of a
// training step nobody should, since waking a sleeper can take a millisecond on a virtual machine.
constexpr auto kSpin = std::chrono::microseconds(50);
constexpr auto kYield = std::chrono::milliseconds(2);

void pause_cpu() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

thread_local bool inside_chunk = false;

// Spins until ready(), for kYield at most; false if time ran out.
template <class Ready>
bool spin_until(const Ready& ready) {
  const auto start = std::chrono::steady_clock::now();
  for (;;) {
    for (int i = 0; i < 32; i++) {
      if (ready()) return true;
      pause_cpu();
    }
    const auto waited = std::chrono::steady_clock::now() - start;
    if (waited > kYield) return false;
    if (waited > kSpin) sched_yield();
  }
}

class Pool {
 public:
  explicit Pool(int workers) {
    try {
      for (int i = 0; i < workers; i++) threads_.emplace_back([this] { work(); });
    } catch (const std::system_error& error) {
      const size_t started = threads_.size();
      stop();
      throw Error(
          ErrorKind::runtime, "set_num_threads", "n", "as many threads as the system starts",
          std::to_string(workers + 1),
          "it started " + std::to_string(started) + " beside the one that asks, and then said: " + error.what());
    } catch (...) { // no memory; a thread that is destroyed while it runs would end the process
      stop();
      throw;
    }
#ifdef __linux__
    may_move_ = sched_getaffinity(0, sizeof allowed_, &allowed_) == 0 && CPU_COUNT(&allowed_) > workers;
#endif
  }

  ~Pool() { stop(); }

  // After a fork the child has none of the threads: the object is left as it is, not destroyed.
  void run(int64_t n, void (*fn)(void*, int64_t), void* context) {
    keep_off_this_cpu();
    fn_ = fn;
    context_ = context;
    n_ = n;
    done_.store(0, std::memory_order_relaxed);
    uint32_t job = ++job_;
    claims_.store(uint64_t(job) << 32 | uint64_t(n), std::memory_order_seq_cst);
    if (sleepers_.load(std::memory_order_seq_cst) > 0) {
      std::lock_guard<std::mutex> lock(sleep_mutex_);
      wake_.notify_all();
    }
    claim_all(job);
    await_done(n);
    if (failed_.exchange(false)) {
      std::exception_ptr error;
      std::swap(error, error_);
      std::rethrow_exception(error);
    }
  }

 private:
  void stop() {
    {
      std::lock_guard<std::mutex> lock(sleep_mutex_);
      stop_.store(true);
    }
    wake_.notify_all();
    for (std::thread& t : threads_) t.join();
    threads_.clear();
  }

  // claims_ holds the job's number and how many chunks are unclaimed. A claim that succeeds keeps the job alive until
  // the chunk is counted in done_, so fn_, context_ and n_ may be read after it.
  bool claim_one(uint32_t job) {
    uint64_t seen = claims_.load(std::memory_order_acquire);
    do {
      if (uint32_t(seen >> 32) != job || uint32_t(seen) == 0) return false;
    } while (!claims_.compare_exchange_weak(seen, seen - 1, std::memory_order_acq_rel, std::memory_order_acquire));
    int64_t n = n_, i = n - int64_t(uint32_t(seen));
    try {
      fn_(context_, i);
    } catch (...) {
      if (!failed_.exchange(true)) error_ = std::current_exception();
    }
    if (done_.fetch_add(1) + 1 == n && caller_sleeps_.load()) {
      std::lock_guard<std::mutex> lock(done_mutex_);
      all_done_.notify_one();
    }
    return true;
  }

  void claim_all(uint32_t job) {
    inside_chunk = true;
    while (claim_one(job)) {}
    inside_chunk = false;
  }

  void await_done(int64_t n) {
    if (spin_until([&] { return done_.load(std::memory_order_acquire) == n; })) return;
    std::unique_lock<std::mutex> lock(done_mutex_);
    caller_sleeps_.store(true);
    all_done_.wait(lock, [&] { return done_.load() == n; });
    caller_sleeps_.store(false);
  }

  // A worker that is woken on the caller's CPU can stay there for many milliseconds while another CPU is idle: workers
  // may run wherever the process may, but for the CPU on which the caller was last seen.
  void keep_off_this_cpu() {
#ifdef __linux__
    const int here = may_move_ ? sched_getcpu() : -1;
    if (here < 0 || here == avoided_) return;
    avoided_ = here;
    cpu_set_t others = allowed_;
    CPU_CLR(here, &others);
    for (std::thread& t : threads_) pthread_setaffinity_np(t.native_handle(), sizeof others, &others);
#endif
  }

  void work() {
    FlushDenormals flush;
    inside_chunk = true;
    uint32_t last = 0;
    while (!stop_.load(std::memory_order_acquire)) {
      uint64_t seen = claims_.load(std::memory_order_acquire);
      uint32_t job = uint32_t(seen >> 32);
      if (job != last && uint32_t(seen) != 0) {
        while (claim_one(job)) {}
        last = job;
        continue;
      }
      last = job;
      if (!spin_until([&] { return has_new_job(last); })) sleep_for_job(last);
    }
  }

  bool has_new_job(uint32_t last) {
    return uint32_t(claims_.load(std::memory_order_seq_cst) >> 32) != last || stop_.load();
  }

  void sleep_for_job(uint32_t last) {
    std::unique_lock<std::mutex> lock(sleep_mutex_);
    sleepers_.fetch_add(1, std::memory_order_seq_cst);
    wake_.wait(lock, [&] { return has_new_job(last); });
    sleepers_.fetch_sub(1);
  }

  alignas(64) std::atomic<uint64_t> claims_{0};
  alignas(64) std::atomic<int64_t> done_{0};
  void (*fn_)(void*, int64_t) = nullptr;
  void* context_ = nullptr;
  int64_t n_ = 0;
  uint32_t job_ = 0;
  std::atomic<bool> failed_{false};
  std::exception_ptr error_;
  std::atomic<int> sleepers_{0};
  std::atomic<bool> caller_sleeps_{false};
  std::atomic<bool> stop_{false};
  std::mutex sleep_mutex_, done_mutex_;
  std::condition_variable wake_, all_done_;
  std::vector<std::thread> threads_;
#ifdef __linux__
  cpu_set_t allowed_; // of the thread that made the pool
#endif
  bool may_move_ = false;
  int avoided_ = -1;
};

int cgroup_quota() {
  // cgroup v2: "max 100000" or "200000 100000"; v1: two files.
  std::ifstream v2("/sys/fs/cgroup/cpu.max");
  std::string quota;
  double period = 0;
  if (v2 >> quota >> period)
    return quota == "max" || period <= 0 ? 0 : int((atof(quota.c_str()) + period - 1) / period);
  std::ifstream q1("/sys/fs/cgroup/cpu/cpu.cfs_quota_us"), p1("/sys/fs/cgroup/cpu/cpu.cfs_period_us");
  double q = 0;
  if (q1 >> q && p1 >> period && q > 0 && period > 0) return int((q + period - 1) / period);
  return 0;
}

struct State {
  std::mutex owner;     // held by the caller whom the pool serves
  Pool* pool = nullptr; // made at first use
  std::atomic<int> threads{0};
};

State* state() {
  static State* instance = [] {
    auto* made = new State;
    made->threads = default_num_threads();
    // The child of a fork has no workers, and the lock may have been held by a thread that it has not: start afresh.
    pthread_atfork(nullptr, nullptr, [] {
      State* s = state();
      new (&s->owner) std::mutex;
      s->pool = nullptr;
      inside_chunk = false;
    });
    return made;
  }();
  return instance;
}

} // namespace

int default_num_threads() {
  if (const char* text = getenv("ENGINE_NUM_THREADS")) {
    char* end;
    long n = strtol(text, &end, 10);
    if (*text == 0 || *end != 0 || n < 1 || n > 1024)
      throw Error(ErrorKind::value, "ENGINE_NUM_THREADS", "value", "a number from 1 to 1024",
                  std::string("'") + text + "'");
    return int(n);
  }
  int n = int(std::thread::hardware_concurrency());
#ifdef __linux__
  cpu_set_t set;
  if (sched_getaffinity(0, sizeof set, &set) == 0) n = CPU_COUNT(&set);
  int quota = cgroup_quota();
  if (quota > 0 && quota < n) n = quota;
#endif
  return n > 0 ? n : 1;
}

int num_threads() { return state()->threads; }

void set_num_threads(int64_t n) {
  if (n < 1 || n > 1024)
    throw Error(ErrorKind::value, "set_num_threads", "n", "a number from 1 to 1024", std::to_string(n));
  State* s = state();
  std::lock_guard<std::mutex> lock(s->owner);
  if (n == s->threads) return;
  delete s->pool;
  s->pool = nullptr;
  s->threads = int(n);
}

void run_chunks(int64_t n, void (*fn)(void*, int64_t), void* context) {
  State* s = state();
  if (n > 1 && n < INT32_MAX && s->threads > 1 && !inside_chunk && s->owner.try_lock()) {
    std::lock_guard<std::mutex> lock(s->owner, std::adopt_lock);
    if (s->threads > 1) {
      if (!s->pool) s->pool = new Pool(s->threads - 1);
      s->pool->run(n, fn, context);
      return;
    }
  }
  for (int64_t i = 0; i < n; i++) fn(context, i);
}

} // namespace engine
