#include "net/digest.h"
#include <openssl/evp.h>

#define GUID "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"

enum { SHA1_LEN = 20 };

bool digest_accept_key(struct slice key, char out[DIGEST_ACCEPT_LEN + 1])
{
    unsigned char sum[SHA1_LEN];
    unsigned len = 0;
    EVP_MD_CTX *digest = EVP_MD_CTX_new();
    bool fine = digest != NULL && EVP_DigestInit_ex(digest, EVP_sha1(), NULL) == 1 &&
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
