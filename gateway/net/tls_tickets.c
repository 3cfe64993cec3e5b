#include "net/tls_tickets.h"
#include "net/tls_internal.h"
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/params.h>
#include <openssl/rand.h>
#include <string.h>

enum { COPIES_MAX = 1000 }; /* of keys that change meanwhile: they do once an hour */

bool tls_tickets_rotate(struct tls_tickets *tickets)
{
    struct tls_ticket_key key;
    /* Where memory ended while OpenSSL began, it has no locks, and takes one all the same. */
    if (OSSL_LIB_CTX_get0_global_default() == NULL || RAND_bytes((unsigned char *)&key, sizeof key) != 1) {
        return false;
    }
    atomic_fetch_add(&tickets->changes, 1);
    atomic_thread_fence(memory_order_release); /* nobody sees a half of a key under an even number */
    memmove(&tickets->keys[1], &tickets->keys[0], (TLS_TICKETS_KEPT - 1) * sizeof key);
    tickets->keys[0] = key;
    atomic_fetch_add(&tickets->changes, 1);
    OPENSSL_cleanse(&key, sizeof key);
    return true;
}

/* How many keys there are: the first few, when few were made. */
static size_t count_keys(uint64_t changes)
{
    uint64_t made = changes / 2;
    return made < TLS_TICKETS_KEPT ? (size_t)made : TLS_TICKETS_KEPT;
}

static bool copy_keys(const struct tls_tickets *tickets, struct tls_ticket_key *keys, size_t *count)
{
    for (int i = 0; i < COPIES_MAX; i++) {
        uint64_t before = atomic_load(&tickets->changes);
        memcpy(keys, tickets->keys, sizeof tickets->keys);
        atomic_thread_fence(memory_order_acquire);
        if (before % 2 == 0 && atomic_load(&tickets->changes) == before) {
            *count = count_keys(before);
            return *count > 0;
        }
    }
    return false;
}

static bool use_key(
    const struct tls_ticket_key *key, unsigned char *iv, EVP_CIPHER_CTX *cipher, EVP_MAC_CTX *mac, bool seals)
{
    char digest[] = "SHA256";
    OSSL_PARAM params[] = {
        OSSL_PARAM_construct_octet_string(OSSL_MAC_PARAM_KEY, (void *)(uintptr_t)key->mac, sizeof key->mac),
        OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest, 0),
        OSSL_PARAM_construct_end(),
    };
    return EVP_CipherInit_ex(cipher, EVP_aes_256_cbc(), NULL, key->aes, iv, seals) == 1 &&
           EVP_MAC_CTX_set_params(mac, params) == 1;
}

static int seal(const struct tls_ticket_key *key, unsigned char *name, unsigned char *iv,
    EVP_CIPHER_CTX *cipher, EVP_MAC_CTX *mac)
{
    memcpy(name, key->name, sizeof key->name);
    bool fine = RAND_bytes(iv, EVP_CIPHER_get_iv_length(EVP_aes_256_cbc())) == 1 &&
                use_key(key, iv, cipher, mac, true);
    return fine ? TLS_TICKETS_FINE : TLS_TICKETS_BROKEN;
}

int tls_tickets_use(const struct tls_tickets *tickets, unsigned char *name, unsigned char *iv,
    EVP_CIPHER_CTX *cipher, EVP_MAC_CTX *mac, bool seals)
{
    struct tls_ticket_key keys[TLS_TICKETS_KEPT];
    size_t count = 0;
    int answer = TLS_TICKETS_UNKNOWN;
    if (!copy_keys(tickets, keys, &count)) {
        return TLS_TICKETS_UNKNOWN; /* no ticket is made, none is taken: a full handshake */
    }
    if (seals) {
        answer = seal(&keys[0], name, iv, cipher, mac);
    }
    for (size_t i = 0; !seals && i < count && answer == TLS_TICKETS_UNKNOWN; i++) {
        if (CRYPTO_memcmp(name, keys[i].name, sizeof keys[i].name) == 0) {
            bool fine = use_key(&keys[i], iv, cipher, mac, false);
            answer = !fine ? TLS_TICKETS_BROKEN : i == 0 ? TLS_TICKETS_FINE : TLS_TICKETS_TO_RENEW;
        }
    }
    OPENSSL_cleanse(keys, sizeof keys);
    return answer;
}
