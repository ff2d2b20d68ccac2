/* krpc_metainfo: setting, finding, walking and copying pairs. */
#include "check.h"

static void pairs(void)
{
    krpc_metainfo *info = krpc_metainfo_new();
    krpc_error *error = NULL;
    char value[] = "1";
    CHECK(krpc_metainfo_count(info) == 0);
    CHECK(krpc_metainfo_set(info, KRPC_METAINFO_KIND_TRANSIENT, KRPC_STR("k"), krpc_cstr(value), &error) == KRPC_OK);
    value[0] = 'x'; /* was copied */
    CHECK(error == NULL);
    krpc_metainfo_set(info, KRPC_METAINFO_KIND_PERSISTENT, KRPC_STR("k"), KRPC_STR("2"), NULL);
    krpc_metainfo_set(info, KRPC_METAINFO_KIND_BACKWARD, KRPC_STR("b"), krpc_cstr(NULL), NULL);
    krpc_metainfo_set(info, KRPC_METAINFO_KIND_UPSTREAM, KRPC_STR("\xff\x01"), KRPC_STR("\xfe"), NULL);
    CHECK(krpc_metainfo_count(info) == 4);

    krpc_str found;
    CHECK(krpc_metainfo_get(info, KRPC_METAINFO_KIND_TRANSIENT, KRPC_STR("k"), &found));
    CHECK_STR(found, "1");
    CHECK(krpc_metainfo_get(info, KRPC_METAINFO_KIND_PERSISTENT, KRPC_STR("k"), &found));
    CHECK_STR(found, "2");
    CHECK(krpc_metainfo_get(info, KRPC_METAINFO_KIND_BACKWARD, KRPC_STR("b"), &found) && found.len == 0);
    CHECK(krpc_metainfo_get(info, KRPC_METAINFO_KIND_UPSTREAM, KRPC_STR("\xff\x01"), NULL));
    CHECK(!krpc_metainfo_get(info, KRPC_METAINFO_KIND_BACKWARD, KRPC_STR("k"), &found) && found.ptr == NULL);

    /* Setting a key again replaces its value, in its place. */
    krpc_metainfo_set(info, KRPC_METAINFO_KIND_TRANSIENT, KRPC_STR("k"), KRPC_STR("3"), NULL);
    CHECK(krpc_metainfo_count(info) == 4);
    int32_t kind;
    krpc_str key;
    CHECK(krpc_metainfo_at(info, 0, &kind, &key, &found) && kind == KRPC_METAINFO_KIND_TRANSIENT);
    CHECK_STR(key, "k");
    CHECK_STR(found, "3");
    CHECK(krpc_metainfo_at(info, 3, &kind, &key, &found) && kind == KRPC_METAINFO_KIND_UPSTREAM);
    CHECK_STR(key, "\xff\x01");
    CHECK(krpc_metainfo_at(info, 3, NULL, NULL, NULL));

    /* Beyond the end there is nothing. */
    CHECK(!krpc_metainfo_at(info, 4, &kind, &key, &found) && kind == 0 && key.len == 0 && found.len == 0);
    CHECK(!krpc_metainfo_at(info, SIZE_MAX, &kind, &key, &found));

    krpc_metainfo *copy = krpc_metainfo_copy(info);
    krpc_metainfo_set(info, KRPC_METAINFO_KIND_TRANSIENT, KRPC_STR("k"), KRPC_STR("4"), NULL);
    krpc_metainfo_free(info);
    CHECK(krpc_metainfo_get(copy, KRPC_METAINFO_KIND_TRANSIENT, KRPC_STR("k"), &found));
    CHECK_STR(found, "3");
    krpc_metainfo_free(copy);
}

static void misuse(void)
{
    krpc_metainfo *info = krpc_metainfo_new();
    const struct {
        krpc_metainfo *info;
        int32_t kind;
        krpc_str key, value;
        const char *text;
    } cases[] = {
        {NULL, 1, KRPC_STR("k"), KRPC_STR("v"), "metainfo: is NULL"},
        {info, 0, KRPC_STR("k"), KRPC_STR("v"), "kind: 0 is no krpc_metainfo_kind"},
        {info, 5, KRPC_STR("k"), KRPC_STR("v"), "kind: 5 is no"},
        {info, INT32_MIN, KRPC_STR("k"), KRPC_STR("v"), "kind: -2147483648 is no"},
        {info, 1, KRPC_STR(""), KRPC_STR("v"), "key: is empty"},
        {info, 1, {NULL, 0}, KRPC_STR("v"), "key: is empty"},
        {info, 1, {NULL, 2}, KRPC_STR("v"), "key: pointer is NULL but length is not 0"},
        {info, 1, KRPC_STR("k"), {NULL, 2}, "value: pointer is NULL but length is not 0"},
        {info, 1, KRPC_STR("k"), {"v", SIZE_MAX}, "value: length exceeds"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        krpc_error *error = NULL;
        CHECK(krpc_metainfo_set(cases[i].info, cases[i].kind, cases[i].key, cases[i].value, &error) ==
              KRPC_STATUS_INVALID_ARGUMENT);
        CHECK_ERROR(error, KRPC_STATUS_INVALID_ARGUMENT, cases[i].text);
        CHECK(krpc_metainfo_set(cases[i].info, cases[i].kind, cases[i].key, cases[i].value, NULL) ==
              KRPC_STATUS_INVALID_ARGUMENT);
    }
    CHECK(krpc_metainfo_count(info) == 0);

    krpc_str value = KRPC_STR("old");
    int32_t kind = 9;
    CHECK(!krpc_metainfo_get(NULL, 1, KRPC_STR("k"), &value) && value.len == 0);
    CHECK(!krpc_metainfo_get(info, 77, KRPC_STR("k"), &value));
    CHECK(!krpc_metainfo_get(info, 1, krpc_cstr(NULL), &value));
    CHECK(!krpc_metainfo_at(NULL, 0, &kind, NULL, &value) && kind == 0);
    CHECK(krpc_metainfo_count(NULL) == 0 && krpc_metainfo_copy(NULL) == NULL);
    krpc_metainfo_free(NULL);
    krpc_metainfo_free(info);
}

int main(void)
{
    pairs();
    misuse();
    return end_of_test();
}
