#include "net/digest.h"
#include <openssl/evp.h>
#include <pthread.h>

#define GUID "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"

enum { SHA1_LEN = 20 };

static EVP_MD *sha1; /* for the process's life */

/* EVP_sha1() would be looked up with each use, which takes several times as long as the sum itself. */
static void fetch(void)
{
    sha1 = EVP_MD_fetch(NULL, "SHA1", NULL);
}

bool digest_accept_key(struct slice key, char out[DIGEST_ACCEPT_LEN + 1])
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    unsigned char sum[SHA1_LEN];
    unsigned len = 0;
    pthread_once(&once, fetch);
    EVP_MD_CTX *digest = EVP_MD_CTX_new();
    bool fine = digest != NULL && EVP_DigestInit_ex(digest, sha1 != NULL ? sha1 : EVP_sha1(), NULL) == 1 &&
                EVP_DigestUpdate(digest, key.p, key.len) == 1 &&
                EVP_DigestUpdate(digest, GUID, sizeof GUID - 1) == 1 &&
                EVP_DigestFinal_ex(digest, sum, &len) == 1 && len == SHA1_LEN;
    EVP_MD_CTX_free(digest);
    if (!fine) {
        out[0] = '\0';
        return false;
    }
    return EVP_EncodeBlock((unsigned char *)out, sum, SHA1_LEN) == DIGEST_ACCEPT_LEN;
}
