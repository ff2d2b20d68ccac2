// Values of AllTypes, the same as in ../kitex/values.go.
#include <limits>

#include "peer.hpp"

using namespace interop;

namespace {

template <typename T> constexpr T lowest = std::numeric_limits<T>::lowest();
template <typename T> constexpr T highest = std::numeric_limits<T>::max();

Pair pair(const std::string &key, int64_t value)
{
    Pair pair;
    pair.__set_key(key);
    pair.__set_value(value);
    return pair;
}

std::shared_ptr<Node> node(int32_t value, std::shared_ptr<Node> following = nullptr)
{
    auto node = std::make_shared<Node>();
    node->__set_value(value);
    if (following)
        node->__set_following(following);
    return node;
}

Choice text(const std::string &value)
{
    Choice choice;
    choice.__set_text(value);
    return choice;
}

Choice number(int64_t value)
{
    Choice choice;
    choice.__set_number(value);
    return choice;
}

Choice numbers(const std::vector<int32_t> &value)
{
    Choice choice;
    choice.__set_numbers(value);
    return choice;
}

} // namespace

// Every field is set, except the two that must stay unset.
AllTypes full_types()
{
    AllTypes v;
    v.__set_b(true);
    v.__set_i8v(-7);
    v.__set_i16v(1234);
    v.__set_i32v(-123456);
    v.__set_i64v((INT64_C(1) << 40) + 5);
    v.__set_dbl(3.141592653589793);
    v.__set_str("h\xc3\xa9llo, \xe4\xb8\x96\xe7\x95\x8c \xf0\x9f\x8e\x89");
    v.__set_bin(std::string("\0\xff\x80\x01", 4));
    v.__set_color(Color::NEGATIVE);
    v.__set_pair(pair("k", -1));
    Choice in_pair;
    in_pair.__set_pair(pair("in a union", 9));
    v.__set_choice(in_pair);
    v.__set_strings({"", "a", "b"});
    v.__set_ids({3, -1, 2});
    v.__set_counts({{"", 0}, {"one", 1}, {"min", lowest<int64_t>}});
    v.__set_matrix({{}, {1}, {2, 3}});
    v.__set_pairs_by_id({{-1, {}}, {1, {pair("x", 1), pair("y", 2)}}});
    v.__set_nested({{}, {{"s", {"b", "a"}}, {"empty", {}}}});
    v.__set_color_names({{Color::RED, "red"}, {Color::NEGATIVE, "negative"}});
    v.__set_flags({true, false, true});
    v.__set_doubles({0, -1.5, 1e300});
    v.__set_blobs({"", "\xff", "blob"});
    v.__set_table({{"row", {{"a", 1}, {"b", -2}}}, {"none", {}}});
    v.__set_colors({Color::LARGE, Color::RED});
    v.__set_choices({text("t"), number(-3), numbers({1, 2})});

    v.__set_req_str("required");
    v.__set_req_i32(41);
    v.__set_req_list({"r"});

    v.__set_opt_bool(false);
    v.__set_opt_i8(0);
    v.__set_opt_i16(-2);
    v.__set_opt_i32(0);
    v.__set_opt_i64(4);
    v.__set_opt_dbl(-0.5);
    v.__set_opt_str("");
    v.__set_opt_bin("");
    v.__set_opt_color(Color::GREEN);
    v.__set_opt_pair(pair("", 0));
    v.__set_opt_list({});
    v.__set_opt_map({{"a", ""}});
    v.__set_opt_set({"one"});

    v.__set_def_i32(43);
    v.__set_def_str("not default");
    v.__set_opt_def_i32(8);
    v.__set_def_list({});
    v.__set_def_color(Color::RED);
    v.__set_def_bool(false);

    auto leaf = node(2), branch = node(3, node(4)), tree = node(1);
    leaf->__set_children({});
    tree->__set_children({*leaf, *branch});
    v.__set_tree(*tree);
    v.__set_chain(*node(5, node(6)));
    return v;
}

// Zero values, empty containers, no optional field, defaults as they are.
AllTypes least_types()
{
    AllTypes v;
    v.__set_color(Color::RED);
    v.__set_choice(number(0));
    return v;
}

// The ends of the ranges, special doubles, long containers and deep nesting.
AllTypes extreme_types()
{
    AllTypes v = least_types();
    v.__set_i8v(lowest<int8_t>);
    v.__set_i16v(lowest<int16_t>);
    v.__set_i32v(lowest<int32_t>);
    v.__set_i64v(lowest<int64_t>);
    v.__set_opt_i8(highest<int8_t>);
    v.__set_opt_i16(highest<int16_t>);
    v.__set_opt_i32(highest<int32_t>);
    v.__set_opt_i64(highest<int64_t>);
    v.__set_dbl(-0.0);
    v.__set_opt_dbl(highest<double>);
    const double infinity = std::numeric_limits<double>::infinity();
    v.__set_doubles({infinity, -infinity, std::numeric_limits<double>::denorm_min(), lowest<double>});
    v.__set_color(Color::LARGE);
    v.__set_str(std::string("\0\x7f\xc2\x80\xef\xbf\xbf\xf4\x8f\xbf\xbf", 11));
    v.__set_bin(pattern(300));
    for (int i = 0; i < 1000; i++) {
        v.ids.insert(i - 500);
        v.strings.push_back(std::to_string(i));
        v.counts["key " + std::to_string(i)] = i;
    }
    std::shared_ptr<Node> chain;
    for (int32_t i = 39; i >= 0; i--)
        chain = node(i, chain);
    v.__set_chain(*node(0, chain));
    return v;
}

// Enum numbers that the IDL does not have.
AllTypes unknown_enums()
{
    AllTypes v = least_types();
    v.__set_color(static_cast<Color::type>(77));
    v.__set_colors({static_cast<Color::type>(-1), Color::RED, static_cast<Color::type>(1000)});
    return v;
}
