/* SPDX-License-Identifier: Apache-2.0 */
#include "config/crosvm_directory_flags.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "config/kv_list.h"

/* ---- words between colons ---- */

/* Moves *@p behind the next word and its colon. Return: the word, owned; NULL for want of memory. */
static char *take_word(const char **p) {
        const size_t n = strcspn(*p, ":");
        char *word = strndup(*p, n);

        *p += n + ((*p)[n] == ':');
        return word;
}

/* "KEY=VALUE:KEY=VALUE" as a comma list, which kv_apply() reads. */
static int to_list(const char *p, StrBuf *ret, TextError *reterr) {
        while (*p) {
                _cleanup_(freep) char *word = take_word(&p);
                char *equals;

                if (!word)
                        return -ENOMEM;
                equals = word + strcspn(word, "=,[]\"'"); /* keys are plain words */
                if (*equals != '=' || equals == word)
                        return text_error_set(reterr, -EINVAL, "expected KEY=VALUE, not '%s'",
                                              word);
                *equals = 0;
                kv_append(ret, word, equals + 1);
        }
        return 0;
}

static int apply(const char *words, const KvField *fields, size_t n_fields, void *object,
                 TextError *reterr) {
        _cleanup_(strbuf_deinit) StrBuf buf = {0};
        _cleanup_(freep) char *list = NULL;
        int r;

        if (!*words)
                return 0;
        r = to_list(words, &buf, reterr);
        if (r == 0)
                r = strbuf_finish(&buf, &list);
        return r < 0 ? r : kv_apply(list, NULL, fields, n_fields, object, reterr);
}

/* ---- users ---- */

/* Three numbers, of which the last counts. Return: behind them; NULL when there are none. */
static const char *skip_map_line(const char *p) {
        for (unsigned i = 0; i < 3; i++) {
                unsigned long long value = 0;
                const char *start;

                while (*p == ' ')
                        p++;
                for (start = p; *p >= '0' && *p <= '9' && value <= UINT32_MAX; p++)
                        value = value * 10 + (unsigned) (*p - '0');
                if (p == start || value > UINT32_MAX || (i == 2 && value == 0))
                        return NULL;
                if (i < 2 && *p != ' ')
                        return NULL;
        }
        return p;
}

static bool is_map(const char *text) {
        for (unsigned n = 1; n <= VMM_ID_MAP_LINES_MAX; n++) {
                text = skip_map_line(text);
                if (!text || (*text && *text != ','))
                        return false;
                if (!*text)
                        return true;
                text++;
        }
        return false;
}

static int set_map(const KvItem *item, char **ret, TextError *reterr) {
        if (!item->value || !is_map(item->value))
                return text_error_set(
                        reterr, -EINVAL,
                        "expected INSIDE OUTSIDE COUNT[,INSIDE OUTSIDE COUNT...], not '%s'",
                        item->value ?: "");
        return kv_get_string(item, ret, reterr);
}

static int set_id(const KvItem *item, uint32_t *ret, TextError *reterr) {
        uint64_t value;
        int r;

        r = kv_get_u64(item, 0, UINT32_MAX - 1, &value, reterr);
        if (r == 0)
                *ret = (uint32_t) value;
        return r;
}

static int set_uid_map(VmmUsers *users, const KvItem *item, TextError *reterr) {
        users->given = true;
        return set_map(item, &users->uid_map, reterr);
}

static int set_gid_map(VmmUsers *users, const KvItem *item, TextError *reterr) {
        users->given = true;
        return set_map(item, &users->gid_map, reterr);
}

static int set_uid(VmmUsers *users, const KvItem *item, TextError *reterr) {
        users->given = true;
        return set_id(item, &users->uid, reterr);
}

static int set_gid(VmmUsers *users, const KvItem *item, TextError *reterr) {
        users->given = true;
        return set_id(item, &users->gid, reterr);
}

static void append_users(StrBuf *buf, const VmmUsers *users) {
        if (users->uid_map)
                strbuf_printf(buf, ":uidmap=%s", users->uid_map);
        if (users->gid_map)
                strbuf_printf(buf, ":gidmap=%s", users->gid_map);
        if (users->uid != 0)
                strbuf_printf(buf, ":uid=%" PRIu32, users->uid);
        if (users->gid != 0)
                strbuf_printf(buf, ":gid=%" PRIu32, users->gid);
}

/* ---- --pmem-ext2 ---- */

static VmmExt2 *ext2_of(void *object) {
        return ((VmmPmem *) object)->ext2;
}

static int set_unsigned(const KvItem *item, uint64_t min, uint64_t max, unsigned *ret,
                        TextError *reterr) {
        uint64_t value;
        int r;

        r = kv_get_u64(item, min, max, &value, reterr);
        if (r == 0)
                *ret = (unsigned) value;
        return r;
}

/* One block of the group's bitmap has a bit for each block, in whole bytes. */
static int set_blocks_per_group(void *object, const KvItem *item, TextError *reterr) {
        unsigned *blocks = &ext2_of(object)->blocks_per_group;
        int r;

        r = set_unsigned(item, 256, 8 * VMM_EXT2_BLOCK, blocks, reterr);
        if (r == 0 && *blocks % 8 != 0)
                r = text_error_set(reterr, -EINVAL, "expected a multiple of 8, not '%s'",
                                   item->value);
        return r;
}

static int set_inodes_per_group(void *object, const KvItem *item, TextError *reterr) {
        return set_unsigned(item, 16, 8 * VMM_EXT2_BLOCK, &ext2_of(object)->inodes_per_group,
                            reterr);
}

static int set_size(void *object, const KvItem *item, TextError *reterr) {
        return kv_get_u64(item, 1, UINT64_C(1) << 40, &ext2_of(object)->size_bytes, reterr);
}

static int set_ext2_uid_map(void *object, const KvItem *item, TextError *reterr) {
        return set_uid_map(&ext2_of(object)->users, item, reterr);
}

static int set_ext2_gid_map(void *object, const KvItem *item, TextError *reterr) {
        return set_gid_map(&ext2_of(object)->users, item, reterr);
}

static int set_ext2_uid(void *object, const KvItem *item, TextError *reterr) {
        return set_uid(&ext2_of(object)->users, item, reterr);
}

static int set_ext2_gid(void *object, const KvItem *item, TextError *reterr) {
        return set_gid(&ext2_of(object)->users, item, reterr);
}

static const KvField ext2_fields[] = {
        {"blocks_per_group", set_blocks_per_group, 0},
        {"inodes_per_group", set_inodes_per_group, 0},
        {"size", set_size, 0},
        {"uidmap", set_ext2_uid_map, 0},
        {"gidmap", set_ext2_gid_map, 0},
        {"uid", set_ext2_uid, 0},
        {"gid", set_ext2_gid, 0},
};

/** crosvm_pmem_ext2_parse() - "PATH[:KEY=VALUE...]" */
int crosvm_pmem_ext2_parse(VmmConfig *config, const char *value, TextError *reterr) {
        _cleanup_(vmm_pmem_deinit) VmmPmem pmem = {.ext2 = vmm_ext2_new()};
        int r;

        if (config->n_pmems >= VMM_PMEMS_MAX)
                return text_error_set(reterr, -EINVAL, "more than %u of them", VMM_PMEMS_MAX);
        pmem.path = take_word(&value);
        if (!pmem.path || !pmem.ext2)
                return -ENOMEM;
        if (!*pmem.path)
                return text_error_set(reterr, -EINVAL, "the path of a directory is missing");
        r = apply(value, ext2_fields, ELEMENTSOF(ext2_fields), &pmem, reterr);
        if (r < 0)
                return r;
        if (pmem.ext2->size_bytes < (uint64_t) VMM_EXT2_BLOCK * pmem.ext2->blocks_per_group)
                return text_error_set(reterr, -EINVAL,
                                      "size: %" PRIu64
                                      " bytes are less than one group of %u blocks",
                                      pmem.ext2->size_bytes, pmem.ext2->blocks_per_group);
        config->pmems[config->n_pmems++] = pmem;
        pmem = (VmmPmem){0};
        return 0;
}

/** crosvm_pmem_ext2_emit() - the --pmem-ext2 value of one directory */
int crosvm_pmem_ext2_emit(const VmmPmem *pmem, char **ret) {
        const VmmExt2 *ext2 = pmem->ext2;
        _cleanup_(strbuf_deinit) StrBuf buf = {0};

        strbuf_append(&buf, pmem->path);
        if (ext2->blocks_per_group != VMM_EXT2_BLOCKS_PER_GROUP_DEFAULT)
                strbuf_printf(&buf, ":blocks_per_group=%u", ext2->blocks_per_group);
        if (ext2->inodes_per_group != VMM_EXT2_INODES_PER_GROUP_DEFAULT)
                strbuf_printf(&buf, ":inodes_per_group=%u", ext2->inodes_per_group);
        if (ext2->size_bytes != VMM_EXT2_SIZE_DEFAULT)
                strbuf_printf(&buf, ":size=%" PRIu64, ext2->size_bytes);
        append_users(&buf, &ext2->users);
        return strbuf_finish(&buf, ret);
}

/* ---- --shared-dir ---- */

static const struct {
        const char *name;
        VmmSharedCache cache;
} caches[] = {
        {"auto", VMM_SHARED_CACHE_AUTO},
        {"never", VMM_SHARED_CACHE_NEVER},
        {"always", VMM_SHARED_CACHE_ALWAYS},
};

typedef struct SharedDirWords {
        VmmSharedDir dir;
        bool is_fs; /* type=fs */
} SharedDirWords;

static VmmSharedDir *dir_of(void *object) {
        return &((SharedDirWords *) object)->dir;
}

static int set_type(void *object, const KvItem *item, TextError *reterr) {
        SharedDirWords *words = object;

        words->is_fs = str_eq(item->value, "fs") || str_eq(item->value, "FS");
        return words->is_fs ? 0
                            : text_error_set(reterr, -EINVAL,
                                             "%s: not supported by this version: use type=fs",
                                             item->value);
}

static int set_cache(void *object, const KvItem *item, TextError *reterr) {
        for (size_t i = 0; i < ELEMENTSOF(caches); i++)
                if (str_eq(item->value, caches[i].name)) {
                        dir_of(object)->cache = caches[i].cache;
                        return 0;
                }
        return text_error_set(reterr, -EINVAL, "expected never, auto or always, not '%s'",
                              item->value);
}

static int set_timeout(void *object, const KvItem *item, TextError *reterr) {
        dir_of(object)->timeout_given = true;
        return set_id(item, &dir_of(object)->timeout_sec, reterr);
}

static int set_writeback(void *object, const KvItem *item, TextError *reterr) {
        return kv_get_bool(item, &dir_of(object)->writeback, reterr);
}

static int set_posix_acl(void *object, const KvItem *item, TextError *reterr) {
        return kv_get_bool(item, &dir_of(object)->posix_acl, reterr);
}

static int set_dir_uid_map(void *object, const KvItem *item, TextError *reterr) {
        return set_uid_map(&dir_of(object)->users, item, reterr);
}

static int set_dir_gid_map(void *object, const KvItem *item, TextError *reterr) {
        return set_gid_map(&dir_of(object)->users, item, reterr);
}

static int set_dir_uid(void *object, const KvItem *item, TextError *reterr) {
        return set_uid(&dir_of(object)->users, item, reterr);
}

static int set_dir_gid(void *object, const KvItem *item, TextError *reterr) {
        return set_gid(&dir_of(object)->users, item, reterr);
}

static const KvField dir_fields[] = {
        {"type", set_type, 0},
        {"cache", set_cache, 0},
        {"timeout", set_timeout, 0},
        {"writeback", set_writeback, 0},
        {"posix_acl", set_posix_acl, 0},
        {"uidmap", set_dir_uid_map, 0},
        {"gidmap", set_dir_gid_map, 0},
        {"uid", set_dir_uid, 0},
        {"gid", set_dir_gid, 0},
        {"negative_timeout", NULL, 0},
        {"rewrite-security-xattrs", NULL, 0},
        {"ascii_casefold", NULL, 0},
        {"privileged_quota_uids", NULL, 0},
        {"dax", NULL, 0},
        {"max_dynamic_perm", NULL, 0},
        {"max_dynamic_xattr", NULL, 0},
        {"security_ctx", NULL, 0},
};

/** crosvm_shared_dir_parse() - "PATH:TAG:type=fs[:KEY=VALUE...]"; crosvm's default of a type, 9p, is refused as such */
int crosvm_shared_dir_parse(VmmConfig *config, const char *value, TextError *reterr) {
        SharedDirWords words = {.is_fs = false};
        _cleanup_(vmm_shared_dir_deinit) VmmSharedDir dir = {0};
        int r;

        if (config->n_shared_dirs >= VMM_SHARED_DIRS_MAX)
                return text_error_set(reterr, -EINVAL, "more than %u of them", VMM_SHARED_DIRS_MAX);
        if (!config->shared_dirs)
                config->shared_dirs = calloc(VMM_SHARED_DIRS_MAX, sizeof(VmmSharedDir));
        if (!config->shared_dirs)
                return -ENOMEM;
        vmm_shared_dir_init(&words.dir);
        words.dir.path = take_word(&value);
        words.dir.tag = take_word(&value);
        r = words.dir.path && words.dir.tag ? 0 : -ENOMEM;
        if (r == 0)
                r = apply(value, dir_fields, ELEMENTSOF(dir_fields), &words, reterr);
        dir = words.dir;
        if (r < 0)
                return r;
        if (!*dir.path || !*dir.tag || strlen(dir.tag) > VMM_FOLDER_TAG_MAX)
                return text_error_set(reterr, -EINVAL,
                                      "expected PATH:TAG:type=fs, with a tag of 1 to %u bytes",
                                      VMM_FOLDER_TAG_MAX);
        if (!words.is_fs)
                return text_error_set(reterr, -EINVAL,
                                      "type: 9p, the default, is not supported by this version: "
                                      "use type=fs");
        config->shared_dirs[config->n_shared_dirs++] = dir;
        vmm_shared_dir_init(&dir);
        return 0;
}

/** crosvm_shared_dir_emit() - the --shared-dir value of one directory */
int crosvm_shared_dir_emit(const VmmSharedDir *dir, char **ret) {
        _cleanup_(strbuf_deinit) StrBuf buf = {0};

        strbuf_printf(&buf, "%s:%s:type=fs", dir->path, dir->tag);
        for (size_t i = 0; i < ELEMENTSOF(caches); i++)
                if (caches[i].cache == dir->cache && dir->cache != VMM_SHARED_CACHE_AUTO)
                        strbuf_printf(&buf, ":cache=%s", caches[i].name);
        if (dir->timeout_given)
                strbuf_printf(&buf, ":timeout=%" PRIu32, dir->timeout_sec);
        if (dir->writeback)
                strbuf_append(&buf, ":writeback=true");
        if (dir->posix_acl)
                strbuf_append(&buf, ":posix_acl=true");
        append_users(&buf, &dir->users);
        return strbuf_finish(&buf, ret);
}
