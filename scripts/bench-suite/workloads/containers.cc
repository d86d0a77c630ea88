// Uses `new` as C++ programs usually do: through strings, vectors, maps and lists. For native_containers.py.
#include <list>
#include <map>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

// Returns a sum that depends only on the argument.
extern "C" unsigned long containers(unsigned long turns) {
    unsigned long total = 0;
    for (unsigned long turn = 0; turn < turns; turn++) {
        std::map<unsigned long, std::string> names;
        std::unordered_map<std::string, std::vector<int>> groups;
        std::list<std::unique_ptr<unsigned long>> owned;
        for (unsigned long i = 0; i < 2000; i++) {
            std::string name = "a name too long to be kept inside the string " + std::to_string(i % 300);
            groups[name].push_back(int(i));
            names.emplace(i * 7919 % 2003, std::move(name));
            owned.push_back(std::make_unique<unsigned long>(i));
        }
        for (const auto &value : owned)
            total += *value;
        total += names.size() + groups.size();
    }
    return total;
}
