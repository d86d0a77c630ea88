// Blocks by the ways of C++, kept for ever; a pool of threads that has been there long before it is given work.
#include <condition_variable>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

namespace {
char *filled(void *block, size_t bytes) {
    std::memset(block, 1, bytes);
    return static_cast<char *>(block);
}

// Never destroyed: threads wait on them to the end.
std::mutex &guard = *new std::mutex;
std::condition_variable &changed = *new std::condition_variable;
std::function<void()> &work = *new std::function<void()>;

// Begun when the library is loaded, which is on another line.
struct Pool {
    Pool() {
        for (int i = 0; i < 4; i++)
            std::thread([] {
                for (;;) {
                    std::unique_lock<std::mutex> lock(guard);
                    changed.wait(lock, [] { return bool(work); });
                    auto mine = std::move(work);
                    work = nullptr;
                    lock.unlock();
                    mine();
                }
            }).detach();
    }
} pool;
} // namespace

std::vector<std::vector<char>> *vectors = new std::vector<std::vector<char>>;
char *volatile last;

extern "C" void make_new(size_t bytes) { last = filled(new char[bytes], bytes); }

extern "C" void make_aligned(size_t bytes) { last = filled(std::aligned_alloc(4096, bytes), bytes); }

extern "C" void make_vector(size_t bytes) { vectors->emplace_back(bytes, 'x'); }

extern "C" void make_in_pool(size_t bytes) {
    std::mutex end;
    std::condition_variable ended;
    bool done = false;
    {
        std::lock_guard<std::mutex> lock(guard);
        work = [&] {
            last = filled(std::malloc(bytes), bytes);
            std::lock_guard<std::mutex> lock(end);
            done = true;
            ended.notify_one();
        };
    }
    changed.notify_one();
    std::unique_lock<std::mutex> lock(end);
    ended.wait(lock, [&] { return done; });
}
