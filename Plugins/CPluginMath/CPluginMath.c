#include "CPluginMath.h"
